package dispatch

import (
	"container/heap"
	"time"
)

// GroupCounts counts for one group, since it was created where nothing else is said.
type GroupCounts struct {
	Consumers   int           // subscriptions now
	Waiting     int           // events that wait or are in flight now
	Bytes       int           // of those
	InFlight    int           // of those
	OldestAge   time.Duration // of those: how long the oldest has been there; 0: there is none
	Delivered   uint64        // deliveries, repeated ones too
	Redelivered uint64        // deliveries taken back from subscriptions that ended or did not settle in time
	Dropped     uint64        // events that it accepted, or would have, and will not be delivered
	DeadLetters uint64        // events that it gave up
	// Lost counts those of the dropped that found no room, since nobody took and settled
	// what was in the way, while another group served their connections.
	Lost uint64
}

// Add adds the counts of the same group elsewhere.
func (c *GroupCounts) Add(o *GroupCounts) {
	c.Consumers += o.Consumers
	c.Waiting += o.Waiting
	c.Bytes += o.Bytes
	c.InFlight += o.InFlight
	c.OldestAge = max(c.OldestAge, o.OldestAge)
	c.Delivered += o.Delivered
	c.Redelivered += o.Redelivered
	c.Dropped += o.Dropped
	c.DeadLetters += o.DeadLetters
	c.Lost += o.Lost
}

// countsLocked returns the current counts.
func (g *group) countsLocked() GroupCounts {
	c := g.counts
	c.Consumers = len(g.subscriptions)
	c.Waiting, c.Bytes = g.events, g.bytes
	for _, s := range g.subscriptions {
		c.InFlight += s.inFlight
	}
	if len(g.oldest) > 0 {
		c.OldestAge = g.dispatcher.age() - g.oldest[0].oldest
	}
	return c
}

// groupCounts returns the counts of the groups that have subscriptions, or remember
// some, by name: no more than maxGroups.
func (d *Dispatcher) groupCounts() map[string]GroupCounts {
	all := map[string]GroupCounts{}
	for _, g := range d.all() {
		if g.listens.Load() {
			all[g.name] = g.counted()
		}
	}
	return all
}

func (g *group) counted() GroupCounts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.countsLocked()
}

// dropLocked counts events that will not be delivered.
func (g *group) dropLocked(events int) {
	g.counts.Dropped += uint64(events)
	g.dispatcher.dropped.Add(uint64(events))
}

// drop is dropLocked for who does not hold the lock.
func (g *group) drop(events int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropLocked(events)
}

// takenBackLocked counts deliveries that were taken back.
func (g *group) takenBackLocked(deliveries int) {
	g.counts.Redelivered += uint64(deliveries)
	g.dispatcher.redelivered.Add(uint64(deliveries))
}

// age is how long the dispatcher has been there, above 0.
func (d *Dispatcher) age() time.Duration { return time.Since(d.began) + 1 }

// newItem returns an item for e, that is there from now on or has waited for room.
func (g *group) newItem(e *Event) item {
	it := item{event: e, since: max(e.ReceivedAt.Sub(g.dispatcher.began)+1, 1)}
	if e.Existing || e.Replayed() { // it was received long ago
		it.since = g.dispatcher.age()
	}
	return it
}

// byAge is a heap of the queues that have something in them, the one with the oldest
// first event at the top.
type byAge []*queue

var _ heap.Interface = (*byAge)(nil)

func (h byAge) Len() int           { return len(h) }
func (h byAge) Less(i, j int) bool { return h[i].oldest < h[j].oldest }
func (h byAge) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *byAge) Push(x any) {
	q := x.(*queue)
	q.place = len(*h)
	*h = append(*h, q)
}

// Pop implements heap.Interface.
func (h *byAge) Pop() any {
	last := len(*h) - 1
	q := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return q
}

// noteOldestLocked notes which event of the queue is the first now.
func (q *queue) noteOldestLocked() {
	var oldest time.Duration
	if len(q.items) > 0 {
		oldest = q.items[0].since
	}
	before := q.oldest
	q.oldest = oldest
	switch h := &q.group.oldest; {
	case oldest == before:
	case before == 0:
		heap.Push(h, q)
	case oldest == 0:
		heap.Remove(h, q.place)
	default:
		heap.Fix(h, q.place)
	}
}
