package dispatch

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/admission"
)

// Subscription is what a member asks for.
type Subscription struct {
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

// serves reports whether the member has to do with this namespace.
func (s *Subscription) serves(namespace string) bool {
	return len(s.Namespaces) == 0 || slices.Contains(s.Namespaces, namespace)
}

func (s *Subscription) wants(e *Event) bool {
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

// group is a set of members that share the work.
type group struct {
	dispatcher *Dispatcher
	name       string

	verdictTimeouts admission.Throttle // bounds the warnings about them

	mu       sync.Mutex
	dead     bool // forgotten; whoever still has it finds nothing here
	members  []*Member
	lanes    map[string]*lane // by connection
	orphaned load             // of lanes without a member
	last     Subscription     // of the member that joined last: what to keep while none is there
	forget   *time.Timer      // runs while no member is there
}

// lane returns the lane that e goes to, nil if the group did not ask for it or
// does not keep it.
func (g *group) lane(e *Event) *lane {
	if g.dead {
		return nil
	}
	l := g.lanes[e.ConnectionID]
	if l == nil {
		if !g.last.wants(e) {
			return nil
		}
		l = &lane{group: g, id: e.ConnectionID, nsp: e.Namespace}
		g.lanes[l.id] = l
		if m := g.pick(l); m != nil {
			l.member = m
			m.lanes++
		}
	}
	sub := &g.last
	if l.member != nil {
		sub = &l.member.sub
	}
	if !sub.wants(e) {
		return nil
	}
	if l.droppedByPolicy() {
		g.dispatcher.dropped.Add(1)
		return nil
	}
	l.ended = false // the connection may have come back
	return l
}

// end marks the connection's lane: once everything is acked it goes.
func (g *group) end(connection string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lanes[connection]; l != nil {
		l.ended = true
		l.done()
	}
}

// discard drops the connection's lane with all it holds.
func (g *group) discard(connection string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.lanes[connection]; l != nil {
		l.drop()
	}
}

// full reports whether a new connection would find no room.
func (g *group) full(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.last.serves(namespace) {
		return false
	}
	if len(g.members) == 0 {
		return g.exhausted(&g.orphaned)
	}
	for _, m := range g.members {
		if m.sub.serves(namespace) && !g.exhausted(&m.load) {
			return false
		}
	}
	return true
}

// exhausted reports whether the load has no room, or others wait for it already.
func (g *group) exhausted(ld *load) bool {
	return ld.waiting.Len() > 0 || ld.bytes >= g.dispatcher.opts.MemberBytes
}

// lanesOf returns the member's lanes; nil: those of nobody.
func (g *group) lanesOf(m *Member) (lanes []*lane) {
	for _, l := range g.lanes {
		if l.member == m {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// online reports whether a member serves the namespace.
func (g *group) online(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.members, func(m *Member) bool { return m.sub.serves(namespace) })
}

// authorizes reports whether the group decides on connections to the namespace.
func (g *group) authorizes(namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last.Authorize && g.last.serves(namespace)
}

var seed = maphash.MakeSeed()

// pick chooses the member for a lane: the rendezvous hash's winner among those
// that hold no more than a quarter above their share, so that a newcomer, to
// whom nothing moves, soon has its part. Nil: none serves the namespace.
func (g *group) pick(l *lane) *Member {
	total, n := 0, 0
	for _, m := range g.members {
		if !m.leaving && m.sub.serves(l.nsp) {
			total += m.lanes
			n++
		}
	}
	if n == 0 {
		return nil
	}
	limit := (total+1)*5/(4*n) + 1
	var best *Member
	var bestScore uint64
	for _, m := range g.members {
		if m.leaving || !m.sub.serves(l.nsp) || m.lanes >= limit {
			continue
		}
		score := maphash.Comparable(seed, [2]string{m.sub.ConsumerID, l.id})
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
	if len(g.members) > 0 || g.dead {
		return
	}
	g.dead = true
	delete(d.groups, g.name)
	for _, l := range g.lanes {
		d.dropped.Add(uint64(len(l.items)))
		if l.held != nil {
			d.dropped.Add(1)
		}
		l.drop()
	}
}
