package sio

import (
	"context"
	"time"
)

// AckRequest is an emit whose answers are awaited: what clients hand to the callback
// of their event handler.
type AckRequest struct {
	// Emit is what to send. A volatile one asks only those connections that can
	// take it at once; the others are not expected to answer.
	Emit Emit
	// Timeout is how long answers are awaited. It must be positive.
	Timeout time.Duration
	// MaxAcks ends the waiting after so many answers; 0 awaits them all.
	MaxAcks int
	// Placed is called, unless it is nil, when the event has its place in the order: what
	// the caller asks for next comes after it, at other servers too. Not if there is an
	// error.
	Placed func()
	// Sent is called, unless it is nil, when the event has been queued for all whom it
	// is for, as far as that is known soon, with how many are expected to answer and
	// what is missing in that: after Placed, before anything is yielded, and not if there
	// is an error.
	Sent func(AckSummary)
}

// Outcome is what became of a connection that was asked.
type Outcome int

// The outcomes.
const (
	Answered     Outcome = iota // it answered
	TimedOut                    // no answer came, or was taken from it, in time
	Disconnected                // it ended before it answered
)

// AckResult is the outcome of one connection.
type AckResult struct {
	ConnectionID string
	Outcome      Outcome
	Args         []byte // of an answer: JSON array text, verbatim
	Attachments  [][]byte
}

// AckSummary sums up the outcomes of an [AckRequest]. Where MaxAcks ended it, those
// that had not answered by then are in Expected alone.
type AckSummary struct {
	Expected     int // connections that were asked
	Answered     int
	TimedOut     int
	Disconnected int
	Coverage
}

// Bounds that are not worth a setting.
const (
	// maxAwaited bounds the answers that are awaited at once, in all namespaces.
	// Each costs some 200 bytes.
	maxAwaited = 500_000
	// maxHold bounds how long a browser is held up because nobody takes its
	// answer; half a ping timeout does too, since no pong is read meanwhile.
	maxHold = 10 * time.Second
)

// EmitWithAck sends one event and calls yield, on the caller's goroutine, with what
// becomes of each connection of its target as it happens. It returns when all
// outcomes are there, enough have answered, the time is up, or yield returns
// false. While yield blocks, browsers that answer are held up, for seconds at
// most; an answer that is not taken by then counts as timed out.
//
// Errors: those of [Server.Apply], [ErrBusy], and the cause of ctx's end; with
// that the AckSummary says how far it came.
func (s *Server) EmitWithAck(ctx context.Context, o AckRequest, yield func(AckResult) bool) (AckSummary, error) {
	timer := time.NewTimer(o.Timeout)
	defer timer.Stop()
	n, a, t, err := s.requestAcks(o)
	if err == nil && o.Placed != nil {
		o.Placed()
	}
	if err == nil && o.Sent != nil {
		o.Sent(t)
	}
	if err != nil || t.Expected == 0 {
		return t, err
	}
	defer n.endAckRequest(a, t.Expected)
	s.engine.Pace(a.queued)
	report := func(ids []string, outcome Outcome, count *int) bool {
		for _, id := range ids {
			*count++
			if !yield(AckResult{ConnectionID: id, Outcome: outcome}) {
				return false
			}
		}
		return true
	}
	for t.Answered+t.Disconnected < t.Expected && (o.MaxAcks <= 0 || t.Answered < o.MaxAcks) {
		select {
		case got := <-a.answers:
			n.taken(a, got.socket)
			t.Answered++
			if !yield(got.AckResult) {
				return t, nil
			}
		case <-a.wake:
			if !report(n.takeDisconnected(a), Disconnected, &t.Disconnected) {
				return t, nil
			}
		case <-timer.C:
			late, gone := n.endWaiting(a)
			_ = report(gone, Disconnected, &t.Disconnected) && report(late, TimedOut, &t.TimedOut)
			return t, nil
		case <-ctx.Done():
			return t, context.Cause(ctx)
		}
	}
	return t, nil
}

// requestAcks sends the event and notes who is to answer.
func (s *Server) requestAcks(o AckRequest) (*Namespace, *pendingAcks, AckSummary, error) {
	s.applying.RLock()
	defer s.applying.RUnlock()
	if s.closing {
		return nil, nil, AckSummary{}, ErrClosed
	}
	n := s.namespaces.find(o.Emit.To.Namespace)
	if n == nil {
		return nil, nil, AckSummary{}, ErrUnknownNamespace
	}
	a := &pendingAcks{
		id:      n.lastAckID.Add(1),
		answers: make(chan answer),
		ended:   make(chan struct{}),
		wake:    make(chan struct{}, 1),
		waiting: map[*Socket]progress{},
	}
	expected, err := n.requestAcks(a, o.Emit)
	return n, a, AckSummary{Expected: expected}, err
}

// requestAcks sends the event and returns how many sockets are expected to answer it.
func (n *Namespace) requestAcks(a *pendingAcks, o Emit) (expected int, err error) {
	began := time.Now()
	out := n.outgoing(&o)
	out.packet.ID, out.packet.HasID = a.id, true
	busy := false
	err = n.deliver(out, o.To.Selector, func(msgs *messages) {
		a.queued = msgs.any()
		expected, busy = n.requestAcksLocked(a, &o, msgs)
	})
	switch {
	case err != nil:
		return 0, err
	case busy:
		return 0, ErrBusy
	}
	n.server.counters.countEmit(began)
	return expected, nil
}

// requestAcksLocked queues the event and notes of whom an answer is expected. busy: of
// nobody, since too many are awaited already.
func (n *Namespace) requestAcksLocked(a *pendingAcks, o *Emit, msgs *messages) (expected int, busy bool) {
	sockets := n.selectLocked(o.To.Selector)
	if n.server.awaited.Add(int64(len(sockets))) > maxAwaited {
		n.server.awaited.Add(-int64(len(sockets)))
		return 0, true
	}
	for _, s := range sockets {
		switch {
		case o.Volatile:
			if !s.conn.session.SendVolatile(msgs[s.encoding]...) {
				n.server.awaited.Add(-1)
				continue
			}
			n.awaitLocked(a, s)
		case s.conn.session.Send(msgs[s.encoding]...):
			n.awaitLocked(a, s)
		default: // its session has just ended
			a.disconnectedLocked(s)
		}
		expected++
	}
	n.server.counters.sent.Add(uint64(len(a.waiting)))
	return expected, false
}
