package link

import (
	"encoding/binary"
	"errors"
)

// packet is one message of the bus: what a link has to say at one moment.
//
// Its form: version, flags, the sender's and the receiver's epoch, and as varints the
// link's life, the follower's turn, how far the sender has handled and received the
// receiver's stream, and the number of the first piece; then each piece as its length,
// its part, and its bytes. For lives and turns see [peer].
type packet struct {
	flags    byte
	from, to string // epochs
	life     uint32 // 0: none yet
	turn     uint32
	handled  uint64 // all pieces up to it have been handled
	received uint64 // all up to it have arrived
	first    uint64 // number of the first piece
	pieces   []piece
}

// piece is a message, or a part of one.
type piece struct {
	part byte
	data []byte
}

const version = 1

// Flags of a packet.
const (
	flagAsk    = 1 << iota // say how far you are, at once
	flagAnswer             // said because it was asked
	flagGap                // repeat what is behind received
	allFlags   = flagAsk | flagAnswer | flagGap
)

// Parts of a message.
const (
	partFirst = 1 << iota
	partLast
	wholeMessage = partFirst | partLast
)

func (p *packet) append(b []byte) []byte {
	b = append(b, version, p.flags)
	b = append(b, p.from...)
	b = append(b, p.to...)
	for _, n := range [...]uint64{uint64(p.life), uint64(p.turn), p.handled, p.received, p.first} {
		b = binary.AppendUvarint(b, n)
	}
	for _, pc := range p.pieces {
		b = binary.AppendUvarint(b, uint64(len(pc.data)))
		b = append(b, pc.part)
		b = append(b, pc.data...)
	}
	return b
}

var errPacket = errors.New("link: not a packet")

// parsePacket reads a packet; its pieces lie in b.
func parsePacket(b []byte) (*packet, error) {
	if len(b) < 2+2*EpochLength || b[0] != version || b[1]&^byte(allFlags) != 0 {
		return nil, errPacket
	}
	p := &packet{flags: b[1]}
	b = b[2:]
	p.from, p.to, b = string(b[:EpochLength]), string(b[EpochLength:2*EpochLength]), b[2*EpochLength:]
	var numbers [5]uint64
	for i := range numbers {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, errPacket
		}
		numbers[i], b = n, b[size:]
	}
	const most = 1<<32 - 1
	if numbers[0] > most || numbers[1] > most || numbers[2] > numbers[3] {
		return nil, errPacket
	}
	p.life, p.turn = uint32(numbers[0]), uint32(numbers[1]) //nolint:gosec // checked
	p.handled, p.received, p.first = numbers[2], numbers[3], numbers[4]
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > pieceBytes || uint64(len(b)-size) < n+1 || b[size]&^byte(wholeMessage) != 0 {
			return nil, errPacket
		}
		b = b[size:]
		p.pieces = append(p.pieces, piece{part: b[0], data: b[1 : 1+n]})
		b = b[1+n:]
	}
	if len(p.pieces) > 0 && (p.life == 0 || p.first == 0 || p.first > 1<<62) {
		return nil, errPacket
	}
	return p, nil
}
