package dispatch

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/admission"
)

// SubscriptionOptions is what a subscription asks for.
type SubscriptionOptions struct {
	Group      string
	ConsumerID string
	Namespaces []string // empty: all
	Events     []string // names of messages; empty: all
	Lifecycle  bool     // Connected and Disconnected too
	Authorize  bool     // Connecting too
	// MaxInFlight bounds the events that were delivered and not settled.
	// 0 means 1000.
	MaxInFlight int
}

// serves reports whether the subscription has to do with this namespace.
func (s *SubscriptionOptions) serves(namespace string) bool {
	return len(s.Namespaces) == 0 || slices.Contains(s.Namespaces, namespace)
}

func (s *SubscriptionOptions) wants(e *Event) bool {
	if !s.serves(e.Namespace) {
		return false
	}
	switch e.Kind {
	case Connecting:
		return s.Authorize
	case Message:
		return len(s.Events) == 0 || slices.Contains(s.Events, e.Name)
	}
	return s.Lifecycle
}

// group is a set of subscriptions that share the work.
type group struct {
	dispatcher *Dispatcher
	name       string

	verdictTimeouts admission.Throttle // bounds the warnings about them

	mu            sync.Mutex
	dead          bool // forgotten; whoever still has it finds nothing here
	subscriptions []*Subscription
	queues        map[string]*queue   // by connection
	orphaned      load                // of queues without a subscription
	last          SubscriptionOptions // of the subscription that joined last: what to keep while none is there
	forget        *time.Timer         // runs while no subscription is there
}

// queue returns the queue that e goes to, nil if the group did not ask for it or
// does not keep it.
func (g *group) queue(e *Event) *queue {
	if g.dead {
		return nil
	}
	q := g.queues[e.ConnectionID]
	if q == nil {
		if !g.last.wants(e) {
			return nil
		}
		q = &queue{group: g, id: e.ConnectionID, namespace: e.Namespace}
		g.queues[q.id] = q
		if m := g.pick(q); m != nil {
			q.owner = m
			m.queues++
		}
	}
	sub := &g.last
	if q.owner != nil {
		sub = &q.owner.options
	}
	if !sub.wants(e) {
		return nil
	}
	if q.droppedByPolicy() {
		g.dispatcher.dropped.Add(1)
		return nil
	}
	q.ended = false // the connection may have come back
	return q
}

// end marks the connection's queue: once everything is acked it goes.
func (g *group) end(connection string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[connection]; q != nil {
		q.ended = true
		q.done()
	}
}

// discard drops the connection's queue with all it holds.
func (g *group) discard(connection string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[connection]; q != nil {
		q.drop()
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
		return g.exhausted(&g.orphaned)
	}
	for _, m := range g.subscriptions {
		if m.options.serves(namespace) && !g.exhausted(&m.load) {
			return false
		}
	}
	return true
}

// exhausted reports whether the load has no room, or others wait for it already.
func (g *group) exhausted(ld *load) bool {
	return ld.waiting.Len() > 0 || ld.bytes >= g.dispatcher.opts.SubscriptionBytes
}

// queuesOf returns the subscription's queues; nil: those of nobody.
func (g *group) queuesOf(m *Subscription) (queues []*queue) {
	for _, q := range g.queues {
		if q.owner == m {
			queues = append(queues, q)
		}
	}
	return queues
}

// online reports whether a subscription serves the namespace.
func (g *group) online(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.subscriptions, func(m *Subscription) bool { return m.options.serves(namespace) })
}

// authorizes reports whether the group decides on connections to the namespace.
func (g *group) authorizes(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last.Authorize && g.last.serves(namespace)
}

var seed = maphash.MakeSeed()

// pick chooses the subscription for a queue: the rendezvous hash's winner among those
// that hold no more than a quarter above their share, so that a newcomer, to
// whom nothing moves, soon has its part. Nil: none serves the namespace.
func (g *group) pick(q *queue) *Subscription {
	total, n := 0, 0
	for _, m := range g.subscriptions {
		if !m.draining && m.options.serves(q.namespace) {
			total += m.queues
			n++
		}
	}
	if n == 0 {
		return nil
	}
	limit := (total+1)*5/(4*n) + 1
	var best *Subscription
	var bestScore uint64
	for _, m := range g.subscriptions {
		if m.draining || !m.options.serves(q.namespace) || m.queues >= limit {
			continue
		}
		score := maphash.Comparable(seed, [2]string{m.options.ConsumerID, q.id})
		if best == nil || score > bestScore {
			best, bestScore = m, score
		}
	}
	return best // the least loaded is always below the limit
}

// forgotten is the forget timer.
func (g *group) forgotten() {
	d := g.dispatcher
	d.mu.Lock()
	defer d.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.subscriptions) > 0 || g.dead {
		return
	}
	g.dead = true
	delete(d.groups, g.name)
	for _, q := range g.queues {
		d.dropped.Add(uint64(len(q.items)))
		if q.held != nil {
			d.dropped.Add(1)
		}
		q.drop()
	}
}
