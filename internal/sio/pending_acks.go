package sio

import (
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// pendingAcks is an [AckRequest] under way. Answers have no queue: each browser's
// reader holds its own until it is taken. What waits is bounded by what browsers may send in
// any case, and who takes answers slowly slows down those browsers only.
type pendingAcks struct {
	id      uint64        // of the ack: the same for all, so that one packet serves them
	answers chan answer   // from the browsers' readers
	ended   chan struct{} // closed when nobody takes answers any more
	wake    chan struct{} // holds one: disconnected has grown

	queued []*engineio.Message // the event in one of its encodings, to pace by; set before the request is waited for

	// Guarded by Namespace.mu.
	waiting      map[*Socket]progress
	disconnected []string // ids of sockets that ended, not yet reported
}

// progress is how far a socket is with its answer.
type progress uint8

const (
	pending   progress = iota // nothing came
	answering                 // its reader is handing the answer over
	untaken                   // it answered, and nobody took it
)

type answer struct {
	socket *Socket
	AckResult
}

func (n *Namespace) awaitLocked(a *pendingAcks, s *Socket) {
	a.waiting[s] = pending
	s.awaitLocked(a.id, a)
}

func (a *pendingAcks) answeringLocked(s *Socket) bool {
	if a.waiting[s] != pending {
		return false
	}
	a.waiting[s] = answering
	return true
}

// leftLocked leaves it to the reader of s, if that is handing over an answer, to tell.
func (a *pendingAcks) leftLocked(s *Socket) {
	if a.waiting[s] != answering {
		delete(a.waiting, s)
		a.disconnectedLocked(s)
	}
}

// disconnectedLocked notes that s will not answer any more.
func (a *pendingAcks) disconnectedLocked(s *Socket) {
	a.disconnected = append(a.disconnected, s.id)
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// removeLocked ends the waiting of a for s.
func (a *pendingAcks) removeLocked(s *Socket) {
	delete(a.waiting, s)
	s.awaitNoneLocked(a.id)
}

// answered waits until the answer is taken, or s may not be held up any longer.
func (a *pendingAcks) answered(s *Socket, r AckResult) {
	n := s.nsp
	limit := time.NewTimer(n.server.hold)
	defer limit.Stop()
	select {
	case a.answers <- answer{s, r}:
		return
	case <-a.ended:
		return
	case <-s.Done():
	case <-limit.C:
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if a.waiting == nil {
		return // ended meanwhile
	}
	if s.gone.Load() {
		delete(a.waiting, s)
		a.disconnectedLocked(s)
		return
	}
	a.waiting[s] = untaken
}

// taken ends the waiting for s, whose answer was taken.
func (n *Namespace) taken(a *pendingAcks, s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a.removeLocked(s)
}

// takeDisconnected returns the ids of sockets that ended since the last time.
func (n *Namespace) takeDisconnected(a *pendingAcks) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	gone := a.disconnected
	a.disconnected = nil
	return gone
}

// endWaiting ends the waiting for all and returns who had not answered and who had
// gone.
func (n *Namespace) endWaiting(a *pendingAcks) (late, gone []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range a.waiting {
		late = append(late, s.id)
		a.removeLocked(s)
	}
	a.waiting = nil
	return late, a.disconnected
}

// endAckRequest frees what a request of so many sockets holds.
func (n *Namespace) endAckRequest(a *pendingAcks, expected int) {
	n.endWaiting(a)
	close(a.ended)
	n.server.awaited.Add(-int64(expected))
}
