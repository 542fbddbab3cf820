package engineio

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// The framing of Engine.IO packets in a WebTransport stream
// (engine.io-parser/lib/index.ts, createPacketEncoderStream): a byte whose high
// bit tells binary, and whose other seven are the length; 126 and 127 there say
// that the length follows in two or eight bytes.

// streamFrameBinary marks a binary packet in a frame's first byte.
const streamFrameBinary = 0x80

var errStreamFrame = errors.New("frame with a length of zero or beyond the limit")

// appendStreamFrame appends a message to dst as a frame.
func appendStreamFrame(dst []byte, m *Message) []byte {
	data := m.frame[m.header:]
	kind := byte(0)
	if m.opcode == wsconn.OpBinary {
		kind = streamFrameBinary
	}
	switch n := len(data); {
	case n < 126:
		dst = append(dst, kind|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, kind|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, kind|127), uint64(n))
	}
	return append(dst, data...)
}

// packetBuffers are buffers to read packets into, of a size not known before.
var packetBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPacketBuffer bounds, in bytes, the buffers that are kept.
const maxPacketBuffer = 64 << 10

// readStreamFrame reads one packet of at most limit bytes. Memory is taken as the
// bytes arrive, not as their number is announced.
func readStreamFrame(r *bufio.Reader, limit int64) (inbound, error) {
	first, err := r.ReadByte()
	if err != nil {
		return inbound{}, err
	}
	n := uint64(first &^ streamFrameBinary)
	if extra := map[uint64]int{126: 2, 127: 8}[n]; extra > 0 {
		var b [8]byte
		if _, err := io.ReadFull(r, b[8-extra:]); err != nil {
			return inbound{}, unexpected(err)
		}
		n = binary.BigEndian.Uint64(b[:])
	}
	if n == 0 || n > uint64(limit) {
		return inbound{}, errStreamFrame
	}
	b := packetBuffers.Get().(*bytes.Buffer)
	b.Reset()
	_, err = io.CopyN(b, r, int64(n))
	data := bytes.Clone(b.Bytes())
	if b.Cap() <= maxPacketBuffer {
		packetBuffers.Put(b)
	}
	switch {
	case err != nil:
		return inbound{}, unexpected(err)
	case first&streamFrameBinary != 0:
		return inbound{kind: packetMessage, binary: true, data: data}, nil
	case !utf8.Valid(data):
		return inbound{}, errUTF8
	}
	return decodeText(data)
}

// unexpected is an end in the middle of a frame.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// malformed reports whether the error of readStreamFrame is its peer's mistake, not
// the connection's end.
func malformed(err error) bool {
	for _, e := range []error{errStreamFrame, errUTF8, errEmptyPacket, errPacketType, errBase64} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
