package dispatch

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/admission"
)

// group is a set of subscriptions that share the work.
type group struct {
	dispatcher *Dispatcher
	name       string

	verdictTimeouts admission.Throttle // bounds the warnings about them

	mu            sync.Mutex
	removed       bool // whoever still has it finds nothing here
	subscriptions []*Subscription
	queues        map[string]*queue   // by connection
	events        int                 // in all queues
	unowned       load                // of the queues without an owner
	last          SubscriptionOptions // of the subscription that began last: what to keep while none is there
	expiry        *time.Timer         // runs while no subscription is there
}

// queueLocked returns the queue that e goes to, nil if the group did not ask for it or
// does not keep it.
func (g *group) queueLocked(e *Event) *queue {
	if g.removed {
		return nil
	}
	q := g.queues[e.ConnectionID]
	if q == nil {
		if !g.last.wants(e) {
			return nil
		}
		q = &queue{group: g, id: e.ConnectionID, namespace: e.Namespace}
		g.queues[q.id] = q
		q.assignLocked(g.pickLocked(q))
	}
	options := &g.last
	if q.owner != nil {
		options = &q.owner.options
	}
	if !options.wants(e) {
		return nil
	}
	if q.dropsLocked() {
		g.dispatcher.dropped.Add(1)
		return nil
	}
	q.ended = false // the connection may have come back
	return q
}

// end notes that the connection has ended: its queue goes once all is settled.
func (g *group) end(connection string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[connection]; q != nil {
		q.ended = true
		q.closeIfDoneLocked()
	}
}

// discard removes the connection's queue with all it holds.
func (g *group) discard(connection string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[connection]; q != nil {
		q.closeLocked()
	}
}

// full reports whether a new connection would find no room.
func (g *group) full(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.last.serves(namespace) {
		return false
	}
	if len(g.subscriptions) == 0 {
		return g.fullLocked(&g.unowned)
	}
	for _, s := range g.subscriptions {
		if s.options.serves(namespace) && !g.fullLocked(&s.load) {
			return false
		}
	}
	return true
}

// fullLocked reports whether the load has no room, or others wait for it already.
func (g *group) fullLocked(ld *load) bool {
	return ld.waiting.Len() > 0 || ld.bytes >= g.dispatcher.opts.SubscriptionBytes
}

// queuesLocked returns the subscription's queues; nil: those of nobody.
func (g *group) queuesLocked(s *Subscription) (queues []*queue) {
	for _, q := range g.queues {
		if q.owner == s {
			queues = append(queues, q)
		}
	}
	return queues
}

// online reports whether a subscription serves the namespace.
func (g *group) online(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.subscriptions, func(s *Subscription) bool { return s.options.serves(namespace) })
}

// authorizes reports whether the group decides on connections to the namespace.
func (g *group) authorizes(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last.Authorize && g.last.serves(namespace)
}

var seed = maphash.MakeSeed()

// pickLocked chooses the subscription for a queue: the rendezvous hash's winner among those
// that hold no more than a quarter above their share, so that a newcomer, to
// whom nothing moves, soon has its part. Nil: none serves the namespace.
func (g *group) pickLocked(q *queue) *Subscription {
	total, n := 0, 0
	for _, s := range g.subscriptions {
		if !s.draining && s.options.serves(q.namespace) {
			total += s.queues
			n++
		}
	}
	if n == 0 {
		return nil
	}
	limit := (total+1)*5/(4*n) + 1
	var best *Subscription
	var bestScore uint64
	for _, s := range g.subscriptions {
		if s.draining || !s.options.serves(q.namespace) || s.queues >= limit {
			continue
		}
		score := maphash.Comparable(seed, [2]string{s.options.ConsumerID, q.id})
		if best == nil || score > bestScore {
			best, bestScore = s, score
		}
	}
	return best // the least loaded is always below the limit
}

// expire is the timer of a group that nobody subscribes to any more.
func (g *group) expire() {
	d := g.dispatcher
	d.mu.Lock()
	defer d.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.subscriptions) > 0 || g.removed {
		return
	}
	g.removed = true
	delete(d.groups, g.name)
	for _, q := range g.queues {
		d.dropped.Add(uint64(len(q.items)))
		if q.held != nil {
			d.dropped.Add(1)
		}
		q.closeLocked()
	}
}
