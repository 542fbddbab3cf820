package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// separator stands between the packets of a polling payload
// (Engine.IO v4; engine.io-parser/lib/index.ts).
const separator = 0x1e

var (
	errEmptyPacket = errors.New("empty packet")
	errPacketType  = errors.New("unknown packet type")
	errBase64      = errors.New("invalid base64 in a binary packet")
)

// inbound is one packet from a browser.
type inbound struct {
	kind   byte // packetOpen to packetNoop
	binary bool // a message that came as bytes
	data   []byte
}

// decodeText reads a text packet: a type digit, then the data. In a payload,
// and over a WebSocket in base64 mode, 'b' stands for a binary message. The
// result keeps a slice of b.
func decodeText(b []byte) (inbound, error) {
	if len(b) == 0 {
		return inbound{}, errEmptyPacket
	}
	switch k := b[0]; {
	case k >= packetOpen && k <= packetNoop:
		return inbound{kind: k, data: b[1:]}, nil
	case k == 'b':
		data := make([]byte, base64.StdEncoding.DecodedLen(len(b)-1))
		n, err := base64.StdEncoding.Decode(data, b[1:])
		if err != nil {
			return inbound{}, errBase64
		}
		return inbound{kind: packetMessage, binary: true, data: data[:n]}, nil
	}
	return inbound{}, errPacketType
}

// decodePayload reads the packets of a polling payload in order and hands each
// to yield; it stops early when yield returns false. Packets before an invalid
// one are handed out, as in the reference (engine.io/lib/transports/polling.ts).
func decodePayload(b []byte, yield func(inbound) bool) error {
	for {
		packet, rest, more := bytes.Cut(b, []byte{separator})
		p, err := decodeText(packet)
		if err != nil {
			return err
		}
		if !yield(p) || !more {
			return nil
		}
		b = rest
	}
}

// appendPayload appends the payload of a polling response to dst.
func appendPayload(dst []byte, msgs []*Message) []byte {
	for i, m := range msgs {
		if i > 0 {
			dst = append(dst, separator)
		}
		dst = append(dst, m.payloadPacket()...)
	}
	return dst
}
