package sio

import (
	"context"
	"sync"
	"time"
)

// AckRequest is an emit whose answers are awaited: what clients hand to the callback
// of their event handler.
type AckRequest struct {
	// Emit is what to send. A volatile one asks only those connections that can
	// take it at once; the others are not expected to answer. Its ConflateKey means nothing:
	// every event that is asked for an answer is sent.
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
	Canceled                    // its caller has canceled the [Server.Call]
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
	deadline := time.Now().Add(o.Timeout)
	asked, err := s.requestAcks(ctx, o)
	defer func() {
		for _, a := range asked {
			a.namespace.endAckRequest(a.pendingAcks, a.Expected)
		}
	}()
	var t AckSummary
	for _, a := range asked {
		t.Expected += a.Expected
	}
	if err == nil && o.Placed != nil {
		o.Placed()
	}
	if err == nil && o.Sent != nil {
		o.Sent(t)
	}
	if err != nil || t.Expected == 0 {
		return t, err
	}
	for _, a := range asked {
		s.engine.Pace(a.queued)
	}
	if len(asked) > 1 {
		return awaitAcksOfAll(ctx, asked, deadline, o.MaxAcks, yield)
	}
	err = asked[0].await(ctx, deadline, o.MaxAcks, yield)
	return asked[0].AckSummary, err
}

// asked is a request to the connections of one namespace, and what has come of it.
type asked struct {
	namespace *Namespace
	*pendingAcks
	AckSummary
}

// await yields what becomes of each connection. Error: the cause of ctx's end.
func (t *asked) await(ctx context.Context, deadline time.Time, most int, yield func(AckResult) bool) error {
	n, a := t.namespace, t.pendingAcks
	timer := time.NewTimer(max(time.Until(deadline), 1))
	defer timer.Stop()
	report := func(ids []string, outcome Outcome, count *int) bool {
		for _, id := range ids {
			*count++
			if !yield(AckResult{ConnectionID: id, Outcome: outcome}) {
				return false
			}
		}
		return true
	}
	for t.Answered+t.Disconnected < t.Expected && (most <= 0 || t.Answered < most) {
		select {
		case got := <-a.answers:
			n.taken(a, got.socket)
			t.Answered++
			if !yield(got.AckResult) {
				return nil
			}
		case <-a.wake:
			if !report(n.takeDisconnected(a), Disconnected, &t.Disconnected) {
				return nil
			}
		case <-timer.C:
			late, gone := n.endWaiting(a)
			_ = report(gone, Disconnected, &t.Disconnected) && report(late, TimedOut, &t.TimedOut)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// awaitAcksOfAll is await of several namespaces: each has a goroutine, and yield is called
// on the caller's.
func awaitAcksOfAll(ctx context.Context, all []*asked, deadline time.Time, most int, yield func(AckResult) bool) (t AckSummary, err error) {
	within, cancel := context.WithCancel(ctx)
	results, over := make(chan AckResult), make(chan struct{})
	var awaiting sync.WaitGroup
	for _, a := range all {
		t.Expected += a.Expected
		awaiting.Go(func() {
			_ = a.await(within, deadline, 0, func(r AckResult) bool { // its error is ctx's
				select {
				case results <- r:
					return true
				case <-within.Done():
					return false
				}
			})
		})
	}
	go func() {
		awaiting.Wait()
		close(over)
	}()
	defer func() {
		cancel()
		<-over
	}()
	for most <= 0 || t.Answered < most {
		select {
		case r := <-results:
			t.note(r.Outcome)
			if !yield(r) {
				return t, nil
			}
		case <-over:
			return t, context.Cause(ctx) // which may be why
		case <-ctx.Done():
			return t, context.Cause(ctx)
		}
	}
	return t, nil
}

// note counts an outcome.
func (t *AckSummary) note(o Outcome) {
	switch o {
	case Answered:
		t.Answered++
	case TimedOut:
		t.TimedOut++
	case Disconnected:
		t.Disconnected++
	}
}

// requestAcks sends the event and notes who is to answer, for each namespace where that is
// anybody. With an error some may have been sent it.
func (s *Server) requestAcks(ctx context.Context, o AckRequest) (all []*asked, err error) {
	s.applying.RLock()
	defer s.applying.RUnlock()
	if s.closing {
		return nil, ErrClosed
	}
	namespaces, ok := s.namespaces.meant(o.Emit.To.Namespace)
	if !ok {
		return nil, ErrUnknownNamespace
	}
	for _, n := range namespaces {
		a, err := n.ask(ctx, o.Emit)
		if err != nil {
			return all, err
		}
		if a.Expected > 0 {
			all = append(all, a)
		}
	}
	return all, nil
}

// ask sends the event and notes who is to answer in this namespace.
func (n *Namespace) ask(ctx context.Context, o Emit) (_ *asked, err error) {
	if o.To.Selector, err = n.selectorOf(ctx, o.To); err != nil {
		return nil, err
	}
	a := &pendingAcks{
		id:      n.lastAckID.Add(1),
		answers: make(chan answer),
		ended:   make(chan struct{}),
		wake:    make(chan struct{}, 1),
		waiting: map[*Socket]progress{},
	}
	expected, err := n.requestAcks(a, o)
	return &asked{namespace: n, pendingAcks: a, AckSummary: AckSummary{Expected: expected}}, err
}

// requestAcks sends the event and returns how many sockets are expected to answer it.
func (n *Namespace) requestAcks(a *pendingAcks, o Emit) (expected int, err error) {
	began := time.Now()
	o.ConflateKey = ""
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
