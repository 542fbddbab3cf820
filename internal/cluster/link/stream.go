package link

import "time"

// stream is what a node sends to another: the pieces that are not acknowledged, and how
// far they are. peer.mu guards it.
type stream struct {
	ring     queue
	base     uint64 // number of the ring's first
	unsent   int    // the ring from here on is to be published
	bytes    int    // in ring, with keptOverhead for each piece
	flight   int    // of them before unsent
	messages uint64 // that have not been acknowledged
	received uint64 // all up to it have arrived at the peer

	progress   time.Time     // when something was acknowledged last, or there was nothing to be
	repeatAt   time.Time     // when what was published is repeated; zero: nothing is on its way
	repeatWait time.Duration // from the next time on
	moved      chan struct{} // closed when something was acknowledged or the state changed, and replaced
}

// keptOverhead is what a piece takes in memory beside its bytes, about: it counts as
// bytes of the ring, and of the inbox at the other end.
const keptOverhead = 64

func newStream() stream {
	return stream{base: 1, repeatWait: firstRepeat, moved: make(chan struct{})}
}

// changed wakes who waits for the stream.
func (s *stream) changed() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// next is the number of the piece that is added next.
func (s *stream) next() uint64 { return s.base + uint64(len(s.ring.pieces)) }

// fits reports whether a message of so many bytes may be added.
func (s *stream) fits(bytes, most int) bool {
	pieces := max(1, (bytes+pieceBytes-1)/pieceBytes)
	return len(s.ring.pieces) == 0 || s.bytes+bytes+pieces*keptOverhead <= most
}

// add adds a message, and returns the number of its last piece.
func (s *stream) add(message []byte, now time.Time) uint64 {
	if len(s.ring.pieces) == 0 {
		s.progress = now
	}
	part := byte(partFirst)
	for rest := message; ; part = 0 {
		n := min(len(rest), pieceBytes)
		if n == len(rest) {
			part |= partLast
		}
		s.ring.add(piece{part: part, data: rest[:n]})
		s.bytes += n + keptOverhead
		if rest = rest[n:]; part&partLast != 0 {
			break
		}
	}
	s.messages++
	return s.next() - 1
}

// acknowledge notes how far the peer is, and reports whether that is farther than before.
func (s *stream) acknowledge(handled, received uint64, now time.Time) bool {
	if received > s.received && received < s.next() {
		s.received = received
	}
	if handled < s.base || handled >= s.next() {
		return false
	}
	n := int(handled - s.base + 1) //nolint:gosec // within ring
	for i := range s.ring.pieces[:n] {
		size := len(s.ring.pieces[i].data)
		s.bytes -= size + keptOverhead
		if i < s.unsent {
			s.flight -= size
		}
		if s.ring.pieces[i].part&partLast != 0 {
			s.messages--
		}
	}
	s.ring.remove(n)
	s.base += uint64(n)
	s.unsent = max(s.unsent-n, 0)
	s.progress = now
	s.repeatWait = firstRepeat
	s.repeatAt = time.Time{}
	if s.unsent > 0 {
		s.repeatAt = now.Add(s.repeatWait)
	}
	s.changed()
	return true
}

// take returns the pieces that go into the next packet, and the number of the first.
func (s *stream) take(window int, now time.Time) (first uint64, pieces []piece) {
	first = s.base + uint64(s.unsent) //nolint:gosec // it is not negative
	for bytes := 0; s.unsent < len(s.ring.pieces); s.unsent++ {
		size := len(s.ring.pieces[s.unsent].data)
		if len(pieces) > 0 && bytes+size > packetBytes || s.flight > 0 && s.flight+size > window {
			break
		}
		pieces = append(pieces, s.ring.pieces[s.unsent])
		bytes += size + pieceOverhead
		s.flight += size
	}
	if len(pieces) > 0 && s.repeatAt.IsZero() {
		s.repeatAt = now.Add(s.repeatWait)
	}
	return first, pieces
}

// pieceOverhead is what a piece takes in a packet beside its bytes, at most.
const pieceOverhead = 4

// goBack has everything published again that has not arrived, and reports whether there
// is such.
func (s *stream) goBack() bool {
	have := 0
	if s.received >= s.base {
		have = int(s.received - s.base + 1) //nolint:gosec // within ring
	}
	if have >= s.unsent {
		return false
	}
	for i := have; i < s.unsent; i++ {
		s.flight -= len(s.ring.pieces[i].data)
	}
	s.unsent = have
	return true
}

// repeatDue reports whether nothing was heard for too long of what was published, has
// that published again which has not arrived, and reports whether there is such.
func (s *stream) repeatDue(now time.Time) (due, repeated bool) {
	if s.repeatAt.IsZero() || now.Before(s.repeatAt) {
		return false, false
	}
	repeated = s.goBack()
	s.repeatWait = min(2*s.repeatWait, lastRepeat)
	s.repeatAt = now.Add(s.repeatWait)
	return true, repeated
}
