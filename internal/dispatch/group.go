package dispatch

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/warning"
)

// group is a set of subscriptions that share the work.
type group struct {
	dispatcher *Dispatcher
	name       string

	verdictTimeouts   warning.Throttle // bounds the warnings about them
	missingAuthorizer warning.Throttle // likewise
	deadLetters       warning.Throttle // likewise
	overflow          warning.Throttle // likewise

	// Whether anything but authorising is asked for or remembered; written under mu.
	listens atomic.Bool
	tells   bool // whether Existing connections are asked for or remembered; under mu

	mu            sync.Mutex
	removed       bool // it is no longer the dispatcher's, and stays empty
	subscriptions []*Subscription
	queues        map[string]*queue // by connection
	events        int               // in all queues
	bytes         int               // of those
	counts        GroupCounts       // those that only grow
	oldest        byAge             // queues that are not empty
	unowned       load              // of the queues without an owner
	authorized    namespaceSet      // what subscriptions ever asked to authorise
	memory        []remembered      // of those that have left
	expiry        *time.Timer       // of the memory, or of the group
	evenTimer     *time.Timer       // moves quiet queues; nil: it never did
	evening       bool              // it is set
	buried        []DeadLetter      // that are to be logged
}

// queueLocked returns the queue that e, of the connection c, goes to, and whether the group
// asked for it; nil if it did not, or does not keep it.
func (g *group) queueLocked(c *client, e *Event) (q *queue, asked bool) {
	switch {
	case g.removed:
		return nil, false
	case e.Kind == Disconnected && g.followsLocked(e):
	case !g.wantsLocked(e), e.Kind == Disconnected && !g.toldLocked(c):
		if e.Kind == Connected && c.member() && g.assignsLocked(e.Namespace) {
			g.adoptLocked(c)
		}
		return nil, false
	}
	if g.dropsLocked(e) {
		g.dropLocked(1)
		return nil, true
	}
	q = g.makeQueueLocked(e)
	q.ended = false // the connection may have come back
	if c.member() {
		q.client = c
		q.knowLocked(c.view)
	}
	return q, true
}

// makeQueueLocked returns the queue of e's connection. If nothing is in it, its owner
// is one that takes e.
func (g *group) makeQueueLocked(e *Event) *queue {
	q := g.queues[e.ConnectionID]
	if q == nil {
		q = &queue{group: g, id: e.ConnectionID, namespace: e.Namespace}
		g.queues[q.id] = q
	}
	if len(q.items) == 0 && (q.owner == nil || q.owner.draining || !q.owner.interest.wants(e)) {
		q.assignLocked(g.pickLocked(q, e))
	}
	return q
}

// end notes that the connection has ended: its queue goes once all is settled.
func (g *group) end(connection string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[connection]; q != nil {
		q.cancelConnectingLocked()
		q.ended, q.client = true, nil
		q.closeIfDoneLocked()
	}
}

// discard removes the connection's queue with all it holds.
func (g *group) discard(connection string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[connection]; q != nil {
		q.cancelConnectingLocked()
		q.closeLocked()
	}
}

// capacity is what a new connection would find in a group.
type capacity int

const (
	nobodyThere capacity = iota // nobody is there for the namespace
	hasRoom
	noRoom
	noRoomStuck // likewise, and nobody settles what is in the way
)

// capacity returns what a new connection to the namespace would find.
func (g *group) capacity(namespace string) capacity {
	g.mu.Lock()
	defer g.mu.Unlock()
	found := nobodyThere
	for _, s := range g.subscriptions {
		switch {
		case !s.interest.serves(namespace):
		case !g.fullLocked(&s.load):
			return hasRoom
		case s.lateUntil.IsZero():
			found = noRoom
		case found == nobodyThere:
			found = noRoomStuck
		}
	}
	return found
}

// busy reports whether new connections to the namespace would find no room: in a
// group that settles what it has, or in one that does not while no other has room.
// A group that has nobody for the namespace keeps no browser out.
func busy(groups []*group, namespace string) bool {
	stuck, free := false, false
	for _, g := range groups {
		switch g.capacity(namespace) {
		case noRoom:
			return true
		case noRoomStuck:
			stuck = true
		case hasRoom:
			free = true
		}
	}
	return stuck && !free
}

// fullLocked reports whether the load has no room, or others wait for it already.
func (g *group) fullLocked(ld *load) bool {
	return ld.waiting.Len() > 0 || ld.bytes >= g.dispatcher.opts.SubscriptionBytes
}

// queuesLocked returns the subscription's queues; nil: those of nobody. Those that
// hold events come first, in the order of how long the oldest of each has been there.
func (g *group) queuesLocked(s *Subscription) (queues []*queue) {
	if s != nil {
		for q := s.owned.first; q != nil; q = q.ownedNext {
			queues = append(queues, q)
		}
	} else {
		for _, q := range g.queues {
			if q.owner == nil {
				queues = append(queues, q)
			}
		}
	}
	slices.SortFunc(queues, func(a, b *queue) int {
		if a.oldest == 0 || b.oldest == 0 {
			return cmp.Compare(b.oldest, a.oldest)
		}
		return cmp.Compare(a.oldest, b.oldest)
	})
	return queues
}

// online reports whether a subscription serves the namespace.
func (g *group) online(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.subscriptions, func(s *Subscription) bool { return s.interest.serves(namespace) })
}

// authorizes reports whether the group decides on connections to the namespace.
func (g *group) authorizes(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.authorized.contains(namespace)
}

// authorizesAny reports whether the group decides on any connections.
func (g *group) authorizesAny() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.authorized.empty()
}

var seed = maphash.MakeSeed()

// pickLocked chooses the subscription for a queue whose next event is next, nil if
// it has none: one that asked for that, if possible one that settles in time. Nil:
// nobody asked for it.
func (g *group) pickLocked(q *queue, next *Event) *Subscription {
	now := time.Now()
	takes := func(s *Subscription) bool {
		return !s.draining && (next == nil && s.interest.serves(q.namespace) || next != nil && s.interest.wants(next))
	}
	inTime := func(s *Subscription) bool { return takes(s) && !now.Before(s.lateUntil) }
	another := func(s *Subscription) bool { return takes(s) && s != q.owner }
	if q.leaving && q.owner.cause == nil && takes(q.owner) {
		if s := g.winnerLocked(q, func(s *Subscription) bool { return inTime(s) && another(s) && g.fitsLocked(&s.load, q.bytes) }); s != nil {
			return s
		}
		return q.owner // it does after all
	}
	for _, eligible := range []func(*Subscription) bool{inTime, another, takes} {
		if s := g.winnerLocked(q, eligible); s != nil {
			return s
		}
	}
	return nil
}

// winnerLocked returns, of the subscriptions that are eligible and hold no more
// than a quarter above their share, the rendezvous hash's winner; so a newcomer soon
// has its part, also while all that could move to it is busy. Nil: none is eligible.
func (g *group) winnerLocked(q *queue, eligible func(*Subscription) bool) *Subscription {
	total, n := 0, 0
	for _, s := range g.subscriptions {
		if eligible(s) {
			total += s.owned.count
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
		if !eligible(s) || s.owned.count >= limit {
			continue
		}
		score := maphash.Comparable(seed, [2]string{s.options.ConsumerID, q.id})
		if best == nil || score > bestScore {
			best, bestScore = s, score
		}
	}
	return best // the least loaded is always below the limit
}
