package sio

import (
	"context"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// Call is [Server.EmitWithAck] to one connection, the one id of o.Emit.To in one namespace, for
// a caller that does not wait. It returns when the event has its place in the order. done is
// called once, with what becomes of the connection, which may be before that: on the goroutine
// that reads from it, on a timer's, or on that of cancel's caller. It must not block.
// cancel may be called at any time: if there is no outcome yet, that is [Canceled]. MaxAcks,
// Placed, Sent and Emit.Volatile of o mean nothing.
//
// Errors: [ErrNotFound] and those of EmitWithAck. With one done is not called.
func (s *Server) Call(_ context.Context, o AckRequest, done func(AckResult)) (cancel func(), err error) {
	c, queued, err := s.call(&o, done)
	if err != nil {
		return nil, err
	}
	s.engine.Pace(queued)
	return c.cancel, nil
}

// call is Call. queued is the event in one of its encodings, to pace by.
func (s *Server) call(o *AckRequest, done func(AckResult)) (_ *pendingCall, queued []*engineio.Message, err error) {
	s.applying.RLock()
	defer s.applying.RUnlock()
	if s.closing {
		return nil, nil, ErrClosed
	}
	n := s.namespaces.find(o.Emit.To.Namespace)
	if n == nil {
		return nil, nil, ErrUnknownNamespace
	}
	began := time.Now()
	c := &pendingCall{id: n.lastAckID.Add(1), done: done}
	out := n.outgoing(&o.Emit)
	out.key = "" // every event that is asked for an answer is sent
	out.packet.ID, out.packet.HasID = c.id, true
	var refused error
	err = n.deliver(out, o.Emit.To.Selector, func(msgs *messages) {
		queued = msgs.any()
		refused = n.callLocked(c, o, msgs)
	})
	switch {
	case err != nil:
		return nil, nil, err
	case refused == ErrBusy: //nolint:errorlint // callLocked's own
		return nil, nil, refused
	}
	n.server.counters.countEmit(began)
	return c, queued, refused
}

// callLocked sends the event and begins to await the answer. Errors: ErrNotFound, ErrBusy.
func (n *Namespace) callLocked(c *pendingCall, o *AckRequest, msgs *messages) error {
	e := n.members.Lookup(o.Emit.To.IDs[0])
	if e == nil {
		return ErrNotFound
	}
	if n.server.awaited.Add(1) > maxAwaited {
		n.server.awaited.Add(-1)
		return ErrBusy
	}
	c.socket = e.Value
	c.socket.awaitLocked(c.id, c)
	c.timer = time.AfterFunc(max(o.Timeout, 1), c.expire)
	if c.socket.session.Send(msgs[c.socket.encoding]...) {
		n.server.counters.sent.Add(1)
	} else { // its session has just ended
		c.leftLocked(c.socket)
	}
	return nil
}

// pendingCall is a [Server.Call] under way.
type pendingCall struct {
	// Immutable once it is in the socket's pendingAcks.
	id     uint64 // of the ack
	socket *Socket
	done   func(AckResult)
	timer  *time.Timer

	// Guarded by Namespace.mu.
	left bool // the socket has left
	over bool // done is called, or about to be
}

// endLocked ends the waiting: who gets true is to call end.
func (c *pendingCall) endLocked() bool {
	if c.over {
		return false
	}
	c.over = true
	c.socket.awaitNoneLocked(c.id)
	return true
}

// end tells the outcome, under no lock of the namespace.
func (c *pendingCall) end(r AckResult) {
	c.timer.Stop()
	c.socket.nsp.server.awaited.Add(-1)
	r.ConnectionID = c.socket.id
	c.done(r)
}

// expire is the timer's: the time is up, or the socket has left.
func (c *pendingCall) expire() {
	n := c.socket.nsp
	n.mu.Lock()
	ended, outcome := c.endLocked(), TimedOut
	if c.left {
		outcome = Disconnected
	}
	n.mu.Unlock()
	if ended {
		c.end(AckResult{Outcome: outcome})
	}
}

func (c *pendingCall) cancel() {
	n := c.socket.nsp
	n.mu.Lock()
	ended := c.endLocked()
	n.mu.Unlock()
	if ended {
		c.end(AckResult{Outcome: Canceled})
	}
}

func (c *pendingCall) answeringLocked(*Socket) bool { return c.endLocked() }

func (c *pendingCall) answered(_ *Socket, r AckResult) { c.end(r) }

// leftLocked has the timer's goroutine tell, since done is to be called under no lock.
func (c *pendingCall) leftLocked(*Socket) {
	c.left = true
	c.timer.Reset(0)
}
