package sio

import (
	"context"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// Ask is an emit whose answers are awaited: what clients hand to the callback
// of their event handler.
type Ask struct {
	// Emit is what to send. A volatile one asks only those connections that can
	// take it at once; the others are not expected to answer.
	Emit Emit
	// Timeout is how long answers are awaited. It must be positive.
	Timeout time.Duration
	// Enough ends the waiting after so many answers; 0 awaits them all.
	Enough int
}

// Fate is what became of a connection that was asked.
type Fate int

// The fates.
const (
	Answered Fate = iota // it answered
	TimedOut             // no answer came, or was taken from it, in time
	Gone                 // it ended before it answered
)

// Outcome is the fate of one connection.
type Outcome struct {
	ConnectionID string
	Fate         Fate
	Args         []byte // of an answer: JSON array text, verbatim
	Attachments  [][]byte
}

// Tally sums up the outcomes of an [Ask]. Where Enough ended it, those that had
// not answered by then are in Expected alone.
type Tally struct {
	Expected int // connections that were asked
	Answered int
	TimedOut int
	Gone     int
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

// ask is an [Ask] under way. Answers have no queue: each browser's reader holds
// its own until it is taken. What waits is bounded by what browsers may send in
// any case, and who takes answers slowly slows down those browsers only.
type ask struct {
	id      uint64        // of the ack: the same for all, so that one packet serves them
	answers chan answer   // from the browsers' readers
	ended   chan struct{} // closed when nobody takes answers any more
	wake    chan struct{} // holds one: gone has grown

	// Guarded by Namespace.mu.
	waiting map[*Socket]progress
	gone    []string // ids of sockets that ended, not yet reported
}

// progress is how far a socket is with its answer.
type progress uint8

const (
	asked     progress = iota // nothing came
	answering                 // its reader is handing the answer over
	unheard                   // it answered, and nobody took it
)

type answer struct {
	socket *Socket
	Outcome
}

// Ask sends one event and calls yield, on the caller's goroutine, with what
// becomes of each connection of its target as it happens. It returns when all
// outcomes are there, enough have answered, the time is up, or yield returns
// false. While yield blocks, browsers that answer are held up, for seconds at
// most; an answer that is not taken by then counts as timed out.
//
// Errors: those of [Server.Apply], [ErrBusy], and the cause of ctx's end; with
// that the Tally says how far it came.
func (s *Server) Ask(ctx context.Context, o Ask, yield func(Outcome) bool) (Tally, error) {
	timer := time.NewTimer(o.Timeout)
	defer timer.Stop()
	n, a, t, err := s.ask(o)
	if err != nil || t.Expected == 0 {
		return t, err
	}
	defer n.endAsk(a, t.Expected)
	report := func(ids []string, fate Fate, count *int) bool {
		for _, id := range ids {
			*count++
			if !yield(Outcome{ConnectionID: id, Fate: fate}) {
				return false
			}
		}
		return true
	}
	for t.Answered+t.Gone < t.Expected && (o.Enough <= 0 || t.Answered < o.Enough) {
		select {
		case got := <-a.answers:
			n.settle(a, got.socket)
			t.Answered++
			if !yield(got.Outcome) {
				return t, nil
			}
		case <-a.wake:
			if !report(n.takeGone(a), Gone, &t.Gone) {
				return t, nil
			}
		case <-timer.C:
			late, gone := n.giveUp(a)
			_ = report(gone, Gone, &t.Gone) && report(late, TimedOut, &t.TimedOut)
			return t, nil
		case <-ctx.Done():
			return t, context.Cause(ctx)
		}
	}
	return t, nil
}

// ask sends the event and notes who is to answer.
func (s *Server) ask(o Ask) (*Namespace, *ask, Tally, error) {
	s.applying.RLock()
	defer s.applying.RUnlock()
	if s.closing {
		return nil, nil, Tally{}, ErrClosed
	}
	n := s.namespaces.find(o.Emit.To.Namespace)
	if n == nil {
		return nil, nil, Tally{}, ErrUnknownNamespace
	}
	a := &ask{
		id:      n.lastAsk.Add(1),
		answers: make(chan answer),
		ended:   make(chan struct{}),
		wake:    make(chan struct{}, 1),
		waiting: map[*Socket]progress{},
	}
	expected, err := n.ask(a, o.Emit)
	return n, a, Tally{Expected: expected}, err
}

// ask sends the event and returns how many sockets are expected to answer it.
func (n *Namespace) ask(a *ask, o Emit) (expected int, err error) {
	out := n.outgoing(&o)
	out.packet.ID, out.packet.HasID = a.id, true
	var one []*engineio.Message // in one of its encodings, to pace by
	busy := false
	err = n.deliver(out, o.To.Selector, func(msgs *messages) {
		one = msgs.any()
		expected, busy = n.askLocked(a, &o, msgs)
	})
	switch {
	case err != nil:
		return 0, err
	case busy:
		return 0, ErrBusy
	}
	n.server.emitted.Add(1)
	if expected > 0 {
		n.server.engine.Pace(one)
	}
	return expected, nil
}

// askLocked queues the event and notes of whom an answer is expected. busy: of
// nobody, since too many are awaited already.
func (n *Namespace) askLocked(a *ask, o *Emit, msgs *messages) (expected int, busy bool) {
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
			a.loseLocked(s)
		}
		expected++
	}
	n.server.sent.Add(uint64(len(a.waiting)))
	return expected, false
}

func (n *Namespace) awaitLocked(a *ask, s *Socket) {
	a.waiting[s] = asked
	if s.asks == nil {
		s.asks = make(map[uint64]*ask, 1)
	}
	s.asks[a.id] = a
}

// loseLocked notes that s will not answer any more.
func (a *ask) loseLocked(s *Socket) {
	a.gone = append(a.gone, s.id)
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// forsakeLocked tells whoever awaits an answer of s that it is gone.
func (s *Socket) forsakeLocked() {
	for _, a := range s.asks {
		if a.waiting[s] != answering { // else its reader tells
			delete(a.waiting, s)
			a.loseLocked(s)
		}
	}
	s.asks = nil
}

// forgetLocked ends the waiting of a for s.
func (a *ask) forgetLocked(s *Socket) {
	delete(a.waiting, s)
	if delete(s.asks, a.id); len(s.asks) == 0 {
		s.asks = nil
	}
}

// answer hands the browser's answer to whoever awaits it. An id that nobody
// awaits an answer to from this very socket is ignored, as in the reference
// (socket.io/lib/socket.ts, onack). The caller holds conn.mu.
func (s *Socket) answer(p *parser.Packet) {
	n := s.nsp
	n.mu.Lock()
	a := s.asks[p.ID]
	if a == nil || a.waiting[s] != asked {
		n.mu.Unlock()
		return
	}
	a.waiting[s] = answering
	n.mu.Unlock()

	limit := time.NewTimer(n.server.hold)
	defer limit.Stop()
	select {
	case a.answers <- answer{s, Outcome{ConnectionID: s.id, Args: p.Data, Attachments: p.Attachments}}:
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
		a.loseLocked(s)
		return
	}
	a.waiting[s] = unheard
}

// settle ends the waiting for s, whose answer was taken.
func (n *Namespace) settle(a *ask, s *Socket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a.forgetLocked(s)
}

// takeGone returns the ids of sockets that ended since the last time.
func (n *Namespace) takeGone(a *ask) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	gone := a.gone
	a.gone = nil
	return gone
}

// giveUp ends the waiting for all and returns who had not answered and who had
// gone.
func (n *Namespace) giveUp(a *ask) (late, gone []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range a.waiting {
		late = append(late, s.id)
		a.forgetLocked(s)
	}
	a.waiting = nil
	return late, a.gone
}

// endAsk frees what an ask of so many sockets holds.
func (n *Namespace) endAsk(a *ask, expected int) {
	n.giveUp(a)
	close(a.ended)
	n.server.awaited.Add(-int64(expected))
}
