package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// The payloads of Engine.IO v3 (engine.io/lib/parser-v3/index.ts): packets with
// their length in front, as text, or, with binary messages for clients that take
// them, as bytes.

var errPayloadV3 = errors.New("malformed payload of protocol v3")

// maxDigits bounds the digits of a length: no payload comes near it.
const maxDigits = 10

// appendPayloadV3 appends the payload of a polling response to dst.
func appendPayloadV3(dst []byte, msgs []*Message) []byte {
	for _, m := range msgs {
		text := m.frame[m.header:]
		if m.opcode == wsconn.OpBinary {
			m = m.framed(framingV3 | framingBase64)
			text = m.frame[m.header:]
		}
		dst = strconv.AppendInt(dst, int64(utf16Len(text)), 10)
		dst = append(dst, ':')
		dst = append(dst, text...)
	}
	return dst
}

// appendBinaryPayloadV3 is appendPayloadV3 for payloads that hold a binary
// message.
func appendBinaryPayloadV3(dst []byte, msgs []*Message) []byte {
	for _, m := range msgs {
		kind := byte(0) // text
		if m.opcode == wsconn.OpBinary {
			kind = 1
			m = m.framed(framingV3)
		}
		text := m.frame[m.header:]
		dst = append(dst, kind)
		for _, digit := range strconv.Itoa(len(text)) {
			dst = append(dst, byte(digit-'0'))
		}
		dst = append(dst, 0xff)
		dst = append(dst, text...)
	}
	return dst
}

func hasBinary(msgs []*Message) bool {
	for _, m := range msgs {
		if m.opcode == wsconn.OpBinary {
			return true
		}
	}
	return false
}

// utf16Len returns the length of valid UTF-8 as JavaScript counts it.
func utf16Len(b []byte) int {
	n := 0
	for _, c := range b {
		switch {
		case c >= 0xf0: // the first of four bytes: a surrogate pair
			n += 2
		case c&0xc0 != 0x80: // the first of one to three
			n++
		}
	}
	return n
}

// cutUTF16 cuts b after n units of UTF-16. It fails where b is shorter, or where
// the cut would split a surrogate pair.
func cutUTF16(b []byte, n int) (before, after []byte, ok bool) {
	i := 0
	for n > 0 && i < len(b) {
		r, size := utf8.DecodeRune(b[i:])
		i += size
		n--
		if r > 0xffff {
			n--
		}
	}
	return b[:i], b[i:], n == 0
}

// decodePayloadV3 reads the packets of a text payload as decodePayload does.
func decodePayloadV3(b []byte, yield func(inbound) bool) error {
	if len(b) == 0 {
		return errPayloadV3
	}
	if !utf8.Valid(b) {
		return errUTF8
	}
	for len(b) > 0 {
		digits, _, ok := bytes.Cut(b[:min(len(b), maxDigits+1)], []byte{':'})
		n, err := parseLength(digits)
		if !ok || err != nil {
			return errPayloadV3
		}
		text, after, ok := cutUTF16(b[len(digits)+1:], n)
		if !ok {
			return errPayloadV3
		}
		b = after
		if len(text) == 0 {
			continue // as in the reference
		}
		p, err := decodeTextV3(text)
		if err != nil {
			return err
		}
		if !yield(p) {
			return nil
		}
	}
	return nil
}

// decodeBinaryPayloadV3 does the same with a payload of bytes.
func decodeBinaryPayloadV3(b []byte, yield func(inbound) bool) error {
	for len(b) > 0 {
		kind := b[0]
		head := b[1:min(len(b), maxDigits+2)]
		end := bytes.IndexByte(head, 0xff)
		if kind > 1 || end < 1 {
			return errPayloadV3
		}
		n := 0
		for _, digit := range head[:end] {
			if digit > 9 {
				return errPayloadV3
			}
			n = 10*n + int(digit)
		}
		if b = b[1+end+1:]; n > len(b) {
			return errPayloadV3
		}
		decode := decodeBinaryV3
		if kind == 0 {
			decode = decodeTextV3
		}
		p, err := decode(b[:n])
		if err != nil {
			return err
		}
		b = b[n:]
		if !yield(p) {
			return nil
		}
	}
	return nil
}

// parseLength reads a length that has no sign and no blank.
func parseLength(digits []byte) (int, error) {
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, errPayloadV3
		}
	}
	return strconv.Atoi(string(digits)) // fails on none
}

// decodeTextV3 reads a text packet: a type digit, then the data. After 'b' stand
// the type digit and the data as base64. The result keeps a slice of b.
func decodeTextV3(b []byte) (inbound, error) {
	if len(b) > 0 && b[0] == 'b' {
		if len(b) < 2 || b[1] != packetMessage {
			return inbound{}, errPacketType
		}
		data, err := base64.StdEncoding.AppendDecode(nil, b[2:])
		if err != nil {
			return inbound{}, errBase64
		}
		return inbound{kind: packetMessage, binary: true, data: data}, nil
	}
	if !utf8.Valid(b) {
		return inbound{}, errUTF8
	}
	return decodeText(b)
}

// decodeBinaryV3 reads a packet of bytes: the type, then the data. Only messages
// are sent so.
func decodeBinaryV3(b []byte) (inbound, error) {
	if len(b) == 0 {
		return inbound{}, errEmptyPacket
	}
	if b[0] != packetMessage-'0' {
		return inbound{}, errPacketType
	}
	return inbound{kind: packetMessage, binary: true, data: b[1:]}, nil
}
