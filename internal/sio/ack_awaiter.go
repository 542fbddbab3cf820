package sio

import "github.com/fanoutd/fanoutd/internal/sio/parser"

// ackAwaiter is who awaits answers with one ack id: [pendingAcks] or a [pendingCall].
type ackAwaiter interface {
	// answeringLocked notes that s answers, and reports whether its answer is awaited: then
	// answered is called, under no lock of the namespace.
	answeringLocked(s *Socket) bool
	// answered takes the answer of s, for which it may block s's reader. The caller holds conn.mu.
	answered(s *Socket, r AckResult)
	// leftLocked notes that s is gone, which may be before answered is called.
	leftLocked(s *Socket)
}

func (s *Socket) awaitLocked(id uint64, a ackAwaiter) {
	if s.pendingAcks == nil {
		s.pendingAcks = make(map[uint64]ackAwaiter, 1)
	}
	s.pendingAcks[id] = a
}

// awaitNoneLocked ends what awaitLocked began.
func (s *Socket) awaitNoneLocked(id uint64) {
	if delete(s.pendingAcks, id); len(s.pendingAcks) == 0 {
		s.pendingAcks = nil
	}
}

// endPendingAcksLocked tells those who await an answer of s that it is gone.
func (s *Socket) endPendingAcksLocked() {
	for _, a := range s.pendingAcks {
		a.leftLocked(s)
	}
	s.pendingAcks = nil
}

// answer hands the browser's answer to who awaits it. An id that nobody
// awaits an answer to from this very socket is ignored, as in the reference
// (socket.io/lib/socket.ts, onack). The caller holds conn.mu.
func (s *Socket) answer(p *parser.Packet) {
	s.nsp.mu.Lock()
	a := s.pendingAcks[p.ID]
	awaited := a != nil && a.answeringLocked(s)
	s.nsp.mu.Unlock()
	if awaited {
		a.answered(s, AckResult{ConnectionID: s.id, Args: p.Data, Attachments: p.Attachments})
	}
}
