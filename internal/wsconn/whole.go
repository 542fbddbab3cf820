package wsconn

import (
	"encoding/binary"
)

// maskBit is the bit of a frame's second byte that says that a mask stands before the payload,
// as it does in all that clients send (RFC 6455, 5.1).
const maskBit = 0x80

// maskLength is the length, in bytes, of a mask.
const maskLength = 4

// whole returns the next message if it is a frame that has come altogether, as nearly all that
// browsers send do: gorilla takes twice as long for one. It blocks until something has
// come. False: the next message, or the error, is gorilla's to read. Nothing of an earlier message
// may be unread.
func (f *framer) whole(limit int64) (opcode byte, data []byte, ok bool) {
	if f.reader.Buffered() == 0 {
		_, _ = f.reader.Peek(1) // an error comes again
	}
	b, _ := f.reader.Peek(f.reader.Buffered())
	mask, n, ok := dataFrame(b)
	if !ok || int64(n) > limit {
		return 0, nil, false
	}
	opcode, data = Opcode(b), make([]byte, n)
	unmask(data, b[mask+maskLength:], [maskLength]byte(b[mask:]))
	_, _ = f.reader.Discard(mask + maskLength + n) // it is there
	return opcode, data, true
}

// dataFrame reports whether b begins with a whole message in one frame of a client's, without
// compression, and returns where its mask stands and how long its payload is. A payload of 64 KiB
// or more is no such one: it is longer than any read buffer.
func dataFrame(b []byte) (mask, n int, ok bool) {
	if len(b) < 2 || b[0] != final|OpText && b[0] != final|OpBinary || b[1]&maskBit == 0 {
		return 0, 0, false
	}
	mask, n = 2, int(b[1]&^maskBit)
	switch n {
	case 126:
		if mask += 2; len(b) < mask {
			return 0, 0, false
		}
		n = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		return 0, 0, false
	}
	return mask, n, len(b) >= mask+maskLength+n
}

// unmask sets dst to the payload that src, of which there is at least as much, is with this mask.
func unmask(dst, src []byte, key [maskLength]byte) {
	src = src[:len(dst)]
	word := binary.LittleEndian.Uint32(key[:])
	twice := uint64(word)<<32 | uint64(word)
	for len(dst) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^twice)
		dst, src = dst[8:], src[8:]
	}
	for i := range dst {
		dst[i] = src[i] ^ key[i%maskLength]
	}
}
