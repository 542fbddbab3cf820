package link

import "time"

// inbox is what has arrived from a node, and waits to be handled. peer.mu guards it.
type inbox struct {
	events   []event
	bytes    int    // of events, with keptOverhead for each piece
	received uint64 // all pieces up to it have arrived
	handled  uint64 // all up to it have been handled
	owed     int    // handled, and not acknowledged
	wanted   bool   // the peer wants to know when all of it has been handled
	gapAsked time.Time
}

// event is what the handler is to hear of.
type event struct {
	kind   eventKind
	number uint64
	piece
}

type eventKind int

const (
	eventPiece eventKind = iota
	eventJoined
	eventChanged
)

// take takes the pieces that come next, and reports whether some are missing before
// them. What has arrived before, and what does not fit, is not taken: the peer keeps it.
func (b *inbox) take(k *packet, most int) (gap bool) {
	if k.first > b.received+1 {
		return true
	}
	for i, pc := range k.pieces {
		number := k.first + uint64(i) //nolint:gosec // it is not negative
		if number != b.received+1 {
			continue
		}
		if b.bytes > 2*most {
			break
		}
		b.events = append(b.events, event{kind: eventPiece, number: number, piece: piece{part: pc.part, data: append([]byte(nil), pc.data...)}})
		b.bytes += len(pc.data) + keptOverhead
		b.received = number
	}
	b.owed = max(b.owed, 1) // it is to know what has arrived, also while the handler takes its time
	return false
}
