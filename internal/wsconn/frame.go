package wsconn

import "encoding/binary"

// Opcodes (RFC 6455, 5.2).
const (
	OpText   = 0x1
	OpBinary = 0x2
	OpClose  = 0x8
	OpPong   = 0xA
)

const (
	final      = 0x80 // the only frame of its message, or the last
	compressed = 0x40 // RSV1: the message is compressed (RFC 7692, 6)
)

// MaxHeader is the length, in bytes, that a frame's header has at most.
const MaxHeader = 10

// AppendHeader appends the header of a message in one frame to dst: n bytes of
// payload are to follow. Servers do not mask (RFC 6455, 5.1).
func AppendHeader(dst []byte, opcode byte, n int) []byte {
	dst = append(dst, final|opcode)
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
}

// Opcode returns the opcode of a frame.
func Opcode(frame []byte) byte { return frame[0] & 0xf }
