package dispatch

import (
	"container/list"
	"slices"
)

// item is an event in a queue.
type item struct {
	event   *Event
	attempt uint32 // deliveries so far
	nacks   int
	acked   bool // out of order: an earlier one is still in flight
}

// queue is the queue of one connection in one group. group.mu guards it.
type queue struct {
	group     *group
	id        string // of the connection
	namespace string
	owner     *Subscription // nil: nobody is there for it

	items []item // items[:sent] are in flight, the others wait
	sent  int
	bytes int // of all items

	ready  bool // stands in subscription.ready
	paused bool // until a refused event is tried again
	ended  bool // the connection is gone: nothing is added any more
	gone   bool // not in group.queues any more

	held  *offer        // the connection's next event, for which there is no room yet; at most one
	place *list.Element // in the waiting list of its load; nil: held waits for room in the queue itself
}

// load is what a subscription, or nobody, has waiting.
type load struct {
	bytes   int
	waiting list.List // of *queue: those whose held event waits for room here, first come first
}

// fits reports whether size more bytes are within the bound. What is larger than
// the bound fits where nothing else is, or it never would.
func fits(bytes, size, bound int) bool { return bytes == 0 || bytes+size <= bound }

func (q *queue) load() *load {
	if q.owner == nil {
		return &q.group.orphaned
	}
	return &q.owner.load
}

// fits reports whether there is room for size bytes in the queue.
func (q *queue) fits(size int) bool {
	return fits(q.bytes, size, q.group.dispatcher.opts.QueueBytes)
}

// fits reports whether there is room for size bytes in a load of the group.
func (g *group) fits(ld *load, size int) bool {
	return fits(ld.bytes, size, g.dispatcher.opts.SubscriptionBytes)
}

// droppedByPolicy reports whether the queue's events are not kept, since nobody
// is there for it.
func (q *queue) droppedByPolicy() bool {
	return q.owner == nil && q.group.dispatcher.policy(q.namespace) == Drop
}

func (q *queue) push(e *Event) {
	q.items = append(q.items, item{event: e})
	q.bytes += e.size
	q.load().bytes += e.size
	q.schedule()
}

// schedule puts the queue in its subscription's queue if there is something to send.
func (q *queue) schedule() {
	m := q.owner
	if m == nil || q.ready || q.paused || q.sent >= len(q.items) || m.draining {
		return
	}
	q.ready = true
	if len(m.ready) == 0 {
		m.progressed() // it had nothing to do until now
	}
	m.ready = append(m.ready, q)
	m.wake()
}

// find returns the index of the in-flight event with this sequence, or -1.
func (q *queue) find(sequence uint64) int {
	for i := range q.items[:q.sent] {
		if q.items[i].event.Sequence == sequence && !q.items[i].acked {
			return i
		}
	}
	return -1
}

// settle ends the flight of items[i] and removes what is done from the front.
func (q *queue) settle(i int) {
	q.items[i].acked = true
	q.owner.inflight--
	for q.sent > 0 && q.items[0].acked {
		q.removeFirst()
	}
}

func (q *queue) removeFirst() {
	size := q.items[0].event.size
	q.items[0] = item{}
	q.items = q.items[1:]
	q.sent--
	q.bytes -= size
	q.load().bytes -= size
	if len(q.items) == 0 {
		q.items = nil
	}
}

// rewind takes items[from:sent] back out of flight, in order; those that were
// acked already are done.
func (q *queue) rewind(from int) {
	kept := from
	for _, it := range q.items[from:q.sent] {
		if it.acked {
			q.bytes -= it.event.size
			q.load().bytes -= it.event.size
			continue
		}
		q.owner.inflight--
		q.items[kept] = it
		kept++
	}
	q.items = slices.Delete(q.items, kept, q.sent)
	q.sent = from
}

// relieve lets in what waits for room, after the queue or its load has shrunk.
func (q *queue) relieve() {
	if q.held != nil && q.place == nil && q.fits(q.held.event.size) {
		q.place = q.load().waiting.PushBack(q)
	}
	q.group.relieve(q.load())
}

// relieve lets in what waits for room in a load, in the order in which it came.
func (g *group) relieve(ld *load) {
	for first := ld.waiting.Front(); first != nil; first = ld.waiting.Front() {
		q := first.Value.(*queue)
		if !g.fits(ld, q.held.event.size) {
			return
		}
		o := q.unhold()
		q.push(o.event)
		o.decide(true)
	}
}

// unhold takes the event that is held.
func (q *queue) unhold() *offer {
	o := q.held
	q.held = nil
	q.unlist()
	return o
}

// unlist takes the queue out of the waiting list of its load.
func (q *queue) unlist() {
	if q.place != nil {
		q.load().waiting.Remove(q.place)
		q.place = nil
	}
}

// reassign gives queues, whose load is old and none of whose events is in flight,
// to the subscriptions that are there. Only then it lets in what waits for room: what
// comes into a queue that still has to move would not count against the bound of
// the load that it moves to.
func (g *group) reassign(old *load, queues ...*queue) {
	for _, q := range queues {
		q.moveTo(g.pick(q))
	}
	for _, q := range queues {
		if q.held != nil && q.droppedByPolicy() {
			g.dispatcher.dropped.Add(1)
			q.unhold().decide(false)
		}
		q.relieve()
	}
	g.relieve(old)
}

// moveTo gives the queue, none of whose events is in flight, to m; nil: to nobody.
func (q *queue) moveTo(m *Subscription) {
	q.unlist()
	q.load().bytes -= q.bytes
	if q.owner != nil {
		q.owner.queues--
	}
	q.owner, q.ready = m, false
	if m != nil {
		m.queues++
	}
	q.load().bytes += q.bytes
	q.schedule()
}

// drop removes the queue and all it holds.
func (q *queue) drop() {
	if q.gone {
		return
	}
	if q.owner != nil {
		for _, it := range q.items[:q.sent] {
			if !it.acked {
				q.owner.inflight--
			}
		}
		q.owner.queues--
		q.owner.wake()
	}
	if q.held != nil {
		q.unhold().decide(false)
	}
	q.load().bytes -= q.bytes
	q.items, q.sent, q.bytes, q.gone = nil, 0, 0, true
	delete(q.group.queues, q.id)
	q.relieve()
}

// done removes the queue when its connection is gone and everything was acked.
func (q *queue) done() {
	if q.ended && len(q.items) == 0 {
		q.drop()
	}
}
