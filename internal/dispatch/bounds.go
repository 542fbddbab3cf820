package dispatch

import "container/list"

// load is what waits for a subscription, or in a group for nobody. group.mu
// guards it.
type load struct {
	bytes   int       // of the events in its queues
	untold  int       // of those, the introducing ones that were never delivered
	waiting list.List // of *queue: those whose held event waits for room here, first come first
}

// fits reports whether size more bytes are within the bound. What is larger than
// the bound fits where nothing else is, or it never would.
func fits(bytes, size, bound int) bool { return bytes == 0 || bytes+size <= bound }

// fitsLocked reports whether there is room for size bytes in the queue.
func (q *queue) fitsLocked(size int) bool {
	return fits(q.bytes, size, q.group.dispatcher.opts.QueueBytes)
}

// fitsLocked reports whether there is room for size bytes in a load of the group.
func (g *group) fitsLocked(ld *load, size int) bool {
	return fits(ld.bytes, size, g.dispatcher.opts.SubscriptionBytes)
}

// loadLocked returns the load that the queue is part of.
func (q *queue) loadLocked() *load {
	if q.owner == nil {
		return &q.group.unowned
	}
	return &q.owner.load
}

// relieveLocked lets in what waits for room, after the queue or its load has
// shrunk.
func (q *queue) relieveLocked() {
	if q.held != nil && q.waiting == nil && q.fitsLocked(q.held.event.size) {
		q.waiting = q.loadLocked().waiting.PushBack(q)
	}
	q.group.relieveLocked(q.loadLocked())
}

// relieveLocked lets in what waits for room in a load, in the order in which it
// came.
func (g *group) relieveLocked(ld *load) {
	for first := ld.waiting.Front(); first != nil; first = ld.waiting.Front() {
		q := first.Value.(*queue)
		if !g.fitsLocked(ld, q.held.event.size) {
			return
		}
		o := q.releaseLocked()
		q.pushLocked(o.event)
		o.resolve(true)
	}
}

// releaseLocked takes the event that is held.
func (q *queue) releaseLocked() *offer {
	o := q.held
	q.held = nil
	q.leaveWaitingLocked()
	return o
}

// leaveWaitingLocked takes the queue out of those that wait for room in its load.
func (q *queue) leaveWaitingLocked() {
	if q.waiting != nil {
		q.loadLocked().waiting.Remove(q.waiting)
		q.waiting = nil
	}
}

// reassignLocked gives queues, whose load is old and none of whose events is in
// flight, to the subscriptions that are there. Only then it lets in what waits for
// room: what comes into a queue that still has to move would not count against
// the bound of the load that it moves to.
func (g *group) reassignLocked(old *load, queues ...*queue) {
	for _, q := range queues {
		q.assignLocked(g.pickLocked(q, q.nextLocked()))
	}
	for _, q := range queues {
		if q.held != nil && g.dropsLocked(q.held.event) {
			g.dropLocked(1)
			g.notToldLocked(q.held.event)
			q.releaseLocked().resolve(false)
		}
		q.relieveLocked()
	}
	g.relieveLocked(old)
}

// dropsLocked reports whether the event is not kept, since nobody is there for it.
func (g *group) dropsLocked(e *Event) bool {
	return g.dispatcher.policy(e.Namespace) == Drop && !g.servedLocked(e)
}
