package dispatch

import (
	"slices"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// How a consumer that asks for it is told which connections it owns.
const (
	maxHandover = 100 // connections that one Handover describes
	maxReleased = 500 // ids that one Handover has
)

// Handover says which connections a subscription has come to own, or owns no more.
type Handover struct {
	// Released are the ids of those that it owns no more. They go first: one of them may
	// be assigned again.
	Released []string
	// Assigned are those that it owns, as they are now, or were at their end if they have
	// ended and something of them is left to be delivered.
	Assigned []sio.Connection
	// Changed are those that it was told of and somebody else has changed, as they are now. What
	// the consumer changes itself, by [sio.Owner.Actor], is left out, unless somebody else has
	// changed the connection while it owned it: then what it is told may cross what it does.
	Changed []sio.Connection
}

// Handover returns the next piece of what a subscription with Assignments is to be told
// of the connections that it owns, false if there is nothing. What a connection does is
// delivered once that has been returned; until then Poll has nothing if that is next. A
// Disconnected that is delivered says itself that the connection is owned no more. It is
// for the goroutine that polls, and takes no lock while it describes connections.
func (s *Subscription) Handover() (Handover, bool) {
	released, assigned, changed := s.takeHandover()
	h := Handover{
		Released: released,
		Assigned: allNow(assigned, s.options.View.AssignedHandshake()), Changed: allNow(changed, s.options.View.ChangedHandshake()),
	}
	return h, len(h.Released)+len(h.Assigned)+len(h.Changed) > 0
}

// allNow returns what the connections are now, or were at their ends.
func allNow(views []*view, handshake bool) (all []sio.Connection) {
	for _, v := range views {
		if c := v.now(handshake); c != nil {
			all = append(all, *c)
		}
	}
	return all
}

// takeHandover notes a piece of what there is as told, and returns it.
func (s *Subscription) takeHandover() (released []string, assigned, changed []*view) {
	if !s.options.Assignments {
		return nil, nil, nil
	}
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	if s.cause != nil {
		return nil, nil, nil
	}
	s.tellLocked()
	n := min(len(s.released), maxReleased)
	released = slices.Clone(s.released[:n])
	if s.released = s.released[n:]; len(s.released) > 0 {
		return released, nil, nil // what is released goes before what is assigned
	}
	s.released = nil
	for len(assigned) < maxHandover && s.coming.Len() > 0 {
		q := s.coming.Front().Value.(*queue)
		q.leaveComingLocked()
		q.assigned = true
		assigned = append(assigned, q.view)
	}
	changed = s.takeChangedLocked(maxHandover - len(assigned))
	if len(released)+len(assigned)+len(changed) > 0 {
		s.watchdog.progressed()
	}
	return released, assigned, changed
}

// assignsLocked reports whether a subscription is to own every connection of the
// namespace, whatever these do.
func (g *group) assignsLocked(namespace string) bool {
	return slices.ContainsFunc(g.subscriptions, func(s *Subscription) bool {
		return s.options.Assignments && s.interest.serves(namespace)
	})
}

// adoptLocked makes a connection, a member of its namespace, one that a subscription owns
// though the group is told nothing of it.
func (g *group) adoptLocked(c *client) {
	q := g.queues[c.socket.ID()]
	if q == nil {
		q = &queue{group: g, id: c.socket.ID(), namespace: c.socket.Namespace()}
		g.queues[q.id] = q
	}
	q.ended, q.client = false, c
	q.knowLocked(c.view)
	if q.owner == nil {
		g.reassignLocked(&g.unowned, q)
		g.evenOutLocked()
	}
}

// knowLocked notes how the connection can be described, so that its owner can be told of
// it, or how it is now that it has come back.
func (q *queue) knowLocked(v *view) {
	if q.view != nil && q.view != v && q.owner != nil {
		q.changedLocked()
	}
	q.view = v
	q.comeLocked(q.owner)
}

// comeLocked has s, the owner or about to be, told that it owns the connection, unless it
// has been.
func (q *queue) comeLocked(s *Subscription) {
	if s == nil || !s.options.Assignments || q.view == nil || q.assigned || q.coming != nil || !q.hasOwnLocked() {
		return
	}
	q.coming = s.coming.PushBack(q)
	s.wake()
}

// hasOwnLocked reports whether the connection is there, or something of it waits that it
// did before its end.
func (q *queue) hasOwnLocked() bool {
	return q.client != nil || slices.ContainsFunc(q.items, func(it item) bool { return it.event.Kind != RecoveryExpired })
}

// leaveComingLocked takes the queue out of those that its owner is to be told of.
func (q *queue) leaveComingLocked() {
	if q.coming != nil {
		q.owner.coming.Remove(q.coming)
		q.coming = nil
	}
}

// passLocked has consumers told that the queue passes from its owner to another
// subscription; nil: nobody.
func (q *queue) passLocked(to *Subscription) {
	from := q.owner
	if from == to {
		return
	}
	q.leaveComingLocked()
	q.passKnownLocked(to)
	if q.assigned && from.cause == nil {
		from.released = append(from.released, q.id) // as often as it was told of
		from.wake()
	}
	q.assigned = false
	q.comeLocked(to)
}

// untoldLocked reports whether the owner is to be told that it owns the connection before
// it gets the next event, and makes that what it is told next. It decides on a Connecting
// before it owns it, and nobody owns what has ended: a dead letter or a RecoveryExpired may
// be of that.
func (q *queue) untoldLocked() bool {
	s := q.owner
	if !s.options.Assignments || q.assigned || q.view == nil {
		return false
	}
	if k := q.items[q.sent].event.Kind; k == Connecting || k == RecoveryExpired {
		return false
	}
	if q.coming == nil { // it was told of the end, and is to be told once more
		q.coming = s.coming.PushFront(q)
		s.wake()
	} else {
		s.coming.MoveToFront(q.coming)
	}
	return true
}
