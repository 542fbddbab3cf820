package dispatch

import (
	"context"
	"sync/atomic"
)

// acceptance is what a group answers to an event.
type acceptance int

const (
	unwanted acceptance = iota // nobody asked for it
	dropped                    // somebody did, and the policy drops it
	accepted                   // it is in its connection's queue
	full                       // there is no room for it now
	lost                       // likewise, and the group does not get it
)

// offer is an event that waits for room in the queues of some groups. Each group
// resolves it on its own; when all have, done is closed.
type offer struct {
	client     *client
	event      *Event
	done       chan struct{}
	unresolved atomic.Int32 // groups
	accepted   atomic.Int32 // groups
}

func newOffer(c *client, e *Event, groups int) *offer {
	o := &offer{client: c, event: e, done: make(chan struct{})}
	o.unresolved.Store(int32(groups))
	return o
}

// resolve notes what became of the event in one of the groups.
func (o *offer) resolve(accepted bool) {
	if accepted {
		o.accepted.Add(1)
	}
	if o.unresolved.Add(-1) == 0 {
		close(o.done)
	}
}

// offer puts e into the queue of its connection, c, if the group asked for it and there is
// room. An end is let in always: nothing is held up by it, and nobody could
// wait with it. Nothing of the connection may be held. elsewhere says that another
// group serves the connection: then one that does not loses what it has no room for.
func (g *group) offer(c *client, e *Event, elsewhere bool) acceptance {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.offerLocked(c, e, elsewhere)
}

// offerAgain is offer for an event that there was no room for before.
func (g *group) offerAgain(c *client, e *Event, elsewhere bool) acceptance {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.offerLocked(c, e, elsewhere)
	if a == unwanted || a == dropped {
		g.notToldLocked(e) // who wanted it has left
	}
	return a
}

func (g *group) offerLocked(c *client, e *Event, elsewhere bool) acceptance {
	q, asked := g.queueLocked(c, e)
	switch {
	case !asked:
		return unwanted
	case q == nil:
		return dropped
	}
	ld := q.loadLocked()
	if e.ends() || q.fitsLocked(e.size) && ld.waiting.Len() == 0 && g.fitsLocked(ld, e.size) {
		q.pushLocked(e)
		return accepted
	}
	if elsewhere && !q.servesLocked(e) {
		return q.overflowLocked(e)
	}
	if e.Kind == Connected {
		q.told = true // it is about to be
	}
	return full
}

// hold is offer for an event that waits until there is room: o learns what
// became of it. withdraw ends the wait.
func (g *group) hold(o *offer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q, _ := g.queueLocked(o.client, o.event)
	if q == nil {
		g.notToldLocked(o.event)
		o.resolve(false)
		return
	}
	q.held, q.settledMeanwhile = o, false
	q.relieveLocked()
}

// withdraw ends the wait of an event; false: it was resolved before.
func (g *group) withdraw(o *offer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[o.event.ConnectionID]
	if q == nil || q.held != o {
		return false
	}
	q.releaseLocked()
	g.notToldLocked(o.event)
	g.relieveLocked(q.loadLocked()) // the next one may be smaller
	return true
}

// enqueue puts e into the queue of its connection, c, once there is room. It is false if
// the group did not ask for e, or ctx ended first.
func (g *group) enqueue(ctx context.Context, c *client, e *Event) bool {
	if a := g.offer(c, e, false); a != full {
		return a == accepted
	}
	o := newOffer(c, e, 1)
	g.hold(o)
	select {
	case <-o.done:
	case <-ctx.Done():
		g.withdraw(o)
	}
	return o.accepted.Load() > 0
}
