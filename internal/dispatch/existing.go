package dispatch

import "slices"

// How a group is told of connections that were there before it.
const (
	// maxUntold is how many of their events may wait to be delivered to one
	// subscription, so that they take little room and do not stand in the way of what
	// happens meanwhile.
	maxUntold = 256
	// tellPiece is how many connections are looked at before the group is left to
	// others.
	tellPiece = 256
)

// member reports whether the connection is one of its namespace. A nil client is
// none.
func (c *client) member() bool { return c != nil && c.connected > 0 }

// tellsLocked reports whether Existing connections are asked for or remembered.
func (g *group) tellsLocked() bool {
	tells := func(i *interest) bool { return i.lifecycle && !i.skipExisting }
	return slices.ContainsFunc(g.subscriptions, func(s *Subscription) bool { return tells(&s.interest) }) ||
		slices.ContainsFunc(g.memory, func(r remembered) bool { return tells(&r.interest) })
}

// toldLocked reports whether the group may hear of the end of c: it was told of its
// beginning, or does not ask to be told of everybody's. One that was let in and never
// became a member has none.
func (g *group) toldLocked(c *client) bool {
	if !c.member() {
		return true
	}
	if q := g.queues[c.socket.ID()]; q != nil && (q.told || q.missed) {
		return q.told
	}
	return !g.tells || !g.wantsLocked(&Event{Kind: Connected, Namespace: c.socket.Namespace(), Existing: true})
}

// followsLocked reports whether e, a Disconnected, ends a connection of which the group
// was told, and which it keeps though nobody who is there asked for it.
func (g *group) followsLocked(e *Event) bool {
	q := g.queues[e.ConnectionID]
	return q != nil && q.told && g.keepsLocked(e)
}

// notToldLocked notes that e will not be delivered: if it is a Connected, the group
// was not told of it.
func (g *group) notToldLocked(e *Event) {
	if q := g.queues[e.ConnectionID]; q != nil && e.Kind == Connected {
		q.told, q.missed = false, true
	}
}

// toldOfLocked notes that an item is being delivered or removed.
func (q *queue) toldOfLocked(it *item) {
	if it.event.introduces() && !it.event.Replayed() && it.attempt == 0 {
		q.countUntoldLocked(-1)
	}
}

// introduces reports whether e is a Connected that was made for one group.
func (e *Event) introduces() bool { return e.Existing || e.returned }

// countUntoldLocked adds such events that were never delivered.
func (q *queue) countUntoldLocked(n int) {
	q.untold += n
	q.loadLocked().untold += n
}

// introduceLocked puts the Connected of a connection that the group was not told of
// before all that waits of it. The queue is to be advanced after it.
func (q *queue) introduceLocked() {
	g, c := q.group, q.client
	switch {
	case q.told || c == nil:
	case c.lostTo(g.name):
		if q.insertLocked(c.returned()) {
			c.foundBy(g.name)
		}
	case g.tells:
		q.insertLocked(c.existing())
	}
}

// insertLocked puts e, which introduces the connection, before all that waits; false: the
// group does not take it. The queue is to be advanced after it.
func (q *queue) insertLocked(e *Event) bool {
	g := q.group
	if !g.wantsLocked(e) || g.dropsLocked(e) {
		return false
	}
	if q.phase == ready {
		q.enterLocked(idle) // its place depends on what is next
	}
	q.items = slices.Insert(q.items, q.sent, g.newItem(e))
	q.told = true
	q.countUntoldLocked(1)
	q.countLocked(1, e.size)
	return true
}

// walkLocked begins to tell the group of all connections that it was not told of and
// the subscription asked for. It goes on with that whenever it polls.
func (s *Subscription) walkLocked() { s.walk = s.group.dispatcher.roster.walk() }

func (s *Subscription) endWalkLocked() {
	if s.walk != nil {
		s.walk.end()
		s.walk = nil
	}
}

// tellLocked goes on with telling the group of connections that were there before,
// unless enough wait to be delivered to the subscription. Each subscription that
// asked for them has a walk of its own: one that is busy keeps no other waiting.
func (s *Subscription) tellLocked() {
	for range tellPiece {
		if s.walk == nil || s.draining || s.untold >= maxUntold {
			return
		}
		c := s.walk.next()
		if c == nil {
			s.endWalkLocked()
			return
		}
		s.tellOfLocked(c)
	}
	s.wake() // there are more
}

// tellOfLocked queues the Connected of a connection that the group was not told of,
// if the subscription asked for it. It takes the connection over from an owner that
// has enough of them, unless something else of it waits there.
func (s *Subscription) tellOfLocked(c *client) {
	g := s.group
	q := g.queues[c.socket.ID()]
	if q != nil && q.told {
		return
	}
	e := &Event{Kind: Connected, Namespace: c.socket.Namespace(), ConnectionID: c.socket.ID(), Existing: true}
	if !s.interest.wants(e) {
		if s.options.Assignments && s.interest.serves(e.Namespace) {
			g.adoptLocked(c)
		}
		return
	}
	q = g.makeQueueLocked(e)
	if len(q.items) == 0 && q.held == nil && q.owner != s && q.owner.untold >= maxUntold {
		q.assignLocked(s)
		g.evenOutLocked()
	}
	q.ended, q.client = false, c
	q.knowLocked(c.view)
	q.introduceLocked()
	q.advanceLocked()
	q.moveLocked()
}
