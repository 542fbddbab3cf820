package dispatch

import "slices"

// How a group is told of connections that were there before it.
const (
	// maxUntold is how many of their events may wait to be delivered, so that they
	// take little room and do not stand in the way of what happens meanwhile.
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

// notToldLocked notes that e will not be delivered: if it is a Connected, the group
// was not told of it.
func (g *group) notToldLocked(e *Event) {
	if q := g.queues[e.ConnectionID]; q != nil && e.Kind == Connected {
		q.told, q.missed = false, true
	}
}

// toldOfLocked notes that an item is being delivered or removed.
func (g *group) toldOfLocked(it *item) {
	if it.event.Existing && !it.event.Replayed && it.attempt == 0 {
		g.untold--
	}
}

// introduceLocked puts the Connected of a connection that the group was not told of
// before all that waits of it. The queue is to be advanced after it.
func (q *queue) introduceLocked() {
	g, c := q.group, q.client
	if q.told || c == nil || !g.tells {
		return
	}
	e := c.existing()
	if !g.wantsLocked(e) || g.dropsLocked(e) {
		return
	}
	if q.phase == ready {
		q.enterLocked(idle) // its place depends on what is next
	}
	q.items = slices.Insert(q.items, q.sent, g.newItem(e))
	q.told = true
	g.untold++
	q.countLocked(1, e.size)
}

// walkLocked begins to tell the group of all connections that it was not told of.
// Its subscriptions go on with that whenever they poll.
func (g *group) walkLocked() {
	g.endWalkLocked()
	g.walk = g.dispatcher.roster.walk()
}

func (g *group) endWalkLocked() {
	if g.walk != nil {
		g.walk.end()
		g.walk = nil
	}
}

// tellLocked goes on with telling the group of connections that were there before,
// unless enough wait to be delivered.
func (s *Subscription) tellLocked() {
	g := s.group
	for range tellPiece {
		if g.walk == nil || g.untold >= maxUntold {
			return
		}
		c := g.walk.next()
		if c == nil {
			g.endWalkLocked()
			return
		}
		g.tellOfLocked(c)
	}
	s.wake() // there are more
}

// tellOfLocked queues the Connected of a connection that the group was not told of,
// if a subscription is there for it.
func (g *group) tellOfLocked(c *client) {
	q := g.queues[c.socket.ID()]
	if q != nil && q.told {
		return
	}
	if e := (&Event{Kind: Connected, Namespace: c.socket.Namespace(), ConnectionID: c.socket.ID(), Existing: true}); g.servedLocked(e) {
		q = g.makeQueueLocked(e)
		q.ended, q.client = false, c
		q.introduceLocked()
		q.advanceLocked()
		q.moveLocked()
	}
}
