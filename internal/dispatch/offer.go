package dispatch

import (
	"context"
	"sync/atomic"
)

// answer is what a group says to an event.
type answer int

const (
	unwanted answer = iota // nobody asked for it, or the policy drops it
	accepted               // it is in its queue
	full                   // there is no room for it now
)

// offer is an event that waits for room in the queues of some groups. Each group
// decides on its own; when all have, done is closed.
type offer struct {
	event     *Event
	done      chan struct{}
	undecided atomic.Int32 // groups
	accepted  atomic.Int32 // groups
}

func newOffer(e *Event, groups int) *offer {
	o := &offer{event: e, done: make(chan struct{})}
	o.undecided.Store(int32(groups))
	return o
}

// decide notes what became of the event in one of the groups.
func (o *offer) decide(accepted bool) {
	if accepted {
		o.accepted.Add(1)
	}
	if o.undecided.Add(-1) == 0 {
		close(o.done)
	}
}

// offer puts e into its connection's queue if the group asked for it and there is
// room. A Disconnected is let in always: nothing follows it, and nobody could
// wait with it. Nothing of the connection may be held.
func (g *group) offer(e *Event) answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queue(e)
	switch {
	case q == nil:
		return unwanted
	case e.Kind == Disconnected, q.fits(e.size) && q.load().waiting.Len() == 0 && g.fits(q.load(), e.size):
		q.push(e)
		return accepted
	}
	return full
}

// hold is offer for an event that waits until there is room: o learns what
// became of it. It ends the wait by withdraw.
func (g *group) hold(o *offer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queue(o.event)
	if q == nil {
		o.decide(false)
		return
	}
	q.held = o
	q.relieve()
}

// withdraw ends the wait of an event; false: it was decided on before.
func (g *group) withdraw(o *offer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[o.event.ConnectionID]
	if q == nil || q.held != o {
		return false
	}
	load := q.load()
	q.unhold()
	g.relieve(load) // the next one may be smaller
	return true
}

// enqueue puts e into its connection's queue, once there is room. It is false if
// the group did not ask for e, or ctx ended first.
func (g *group) enqueue(ctx context.Context, e *Event) bool {
	if a := g.offer(e); a != full {
		return a == accepted
	}
	o := newOffer(e, 1)
	g.hold(o)
	select {
	case <-o.done:
	case <-ctx.Done():
		g.withdraw(o)
	}
	return o.accepted.Load() > 0
}
