package interest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Bits is how many bits a set has.
const (
	Bits     = 1 << bitsLog2
	bitsLog2 = 21
)

const words = Bits / 64

// Kind is what a name is of.
type Kind uint8

// The kinds.
const (
	Namespace Kind = iota // a whole namespace: the name is empty
	Room
	User
)

// bitOf hashes a name: FNV-1a over 64 bits, folded. Nodes of all versions must agree.
func bitOf(kind Kind, namespace, name string) uint32 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	add := func(b byte) { h = (h ^ uint64(b)) * prime }
	add(byte(kind))
	for i := range len(namespace) {
		add(namespace[i])
	}
	add(0) // no namespace holds it
	for i := range len(name) {
		add(name[i])
	}
	// The upper bits of FNV are mixed better than the lower ones.
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return uint32(h >> (64 - bitsLog2)) //nolint:gosec // it is below Bits
}

// The forms of an encoded set.
const (
	formList = 1 // varints: each bit's distance from the one before, less one
	formRaw  = 2 // all words, little endian
)

// errEncoding refuses what is no encoded set.
var errEncoding = errors.New("interest: not an encoded set")

// encode encodes a set: as a list while that is shorter.
func encode(set *[words]uint64) []byte {
	list := []byte{formList}
	next := 0
	for i, w := range set {
		for ; w != 0; w &= w - 1 {
			bit := i*64 + bits.TrailingZeros64(w)
			list = binary.AppendUvarint(list, uint64(bit-next)) //nolint:gosec // bits ascend
			next = bit + 1
		}
		if len(list) > Bits/8 {
			raw := make([]byte, 1, 1+Bits/8)
			raw[0] = formRaw
			for _, w := range set {
				raw = binary.LittleEndian.AppendUint64(raw, w)
			}
			return raw
		}
	}
	return list
}

// decode is the inverse of encode.
func decode(b []byte) (*[words]uint64, error) {
	set := new([words]uint64)
	if len(b) == 0 {
		return nil, errEncoding
	}
	form, b := b[0], b[1:]
	switch form {
	case formRaw:
		if len(b) != Bits/8 {
			return nil, fmt.Errorf("%w: %d bytes of bits", errEncoding, len(b))
		}
		for i := range set {
			set[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
	case formList:
		for next := uint64(0); len(b) > 0; {
			distance, n := binary.Uvarint(b)
			if n <= 0 || distance >= Bits || next+distance >= Bits {
				return nil, fmt.Errorf("%w: a bit beyond the last", errEncoding)
			}
			bit := next + distance
			set[bit/64] |= 1 << (bit % 64)
			next, b = bit+1, b[n:]
		}
	default:
		return nil, fmt.Errorf("%w: form %d", errEncoding, form)
	}
	return set, nil
}
