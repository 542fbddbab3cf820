package dispatch

import (
	"maps"
	"time"

	"github.com/fanoutd/fanoutd/internal/publish"
)

// SubscriptionStatus is a copy of what is known about one subscription.
type SubscriptionStatus struct {
	SubscriptionOptions
	Connections int // that belong to it
	InFlight    int
	QueuedBytes int // in flight and waiting
	Draining    bool
	LastActive  time.Time // when it last took or settled a delivery
}

// GroupStatus is a copy of what is known about one group.
type GroupStatus struct {
	Name          string
	Authorized    []string // namespaces and patterns that it authorises, "*" for all
	Subscriptions []SubscriptionStatus
	UnownedBytes  int // waiting for nobody
	GroupCounts
}

// Groups returns all groups, by name.
func (d *Dispatcher) Groups() []GroupStatus {
	var all []GroupStatus
	for _, g := range d.all() {
		all = append(all, g.status())
	}
	return all
}

func (g *group) status() GroupStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	st := GroupStatus{Name: g.name, Authorized: g.authorized.list(), UnownedBytes: g.unowned.bytes, GroupCounts: g.countsLocked()}
	for _, s := range g.subscriptions {
		st.Subscriptions = append(st.Subscriptions, SubscriptionStatus{
			SubscriptionOptions: s.options, Connections: s.owned.count, InFlight: s.inFlight,
			QueuedBytes: s.bytes, Draining: s.draining, LastActive: s.watchdog.progress,
		})
	}
	return st
}

// Stats counts since the start.
type Stats struct {
	Events, Unheard, Dropped, Redelivered, StalledConsumers, StalledSessions uint64
	VerdictTimeouts                                                          uint64 // connections refused because no verdict came in time
	DeadLetters                                                              uint64 // events that groups gave up
	DeadLettersDropped                                                       uint64 // of those, forgotten for want of room
	DeadLettersReplayed                                                      uint64 // deliveries begun by ReplayDeadLetters
	Lost                                                                     uint64 // of those Dropped: see GroupCounts
	// Groups are those that have subscriptions, or remember some, by name: 100 at most.
	Groups map[string]GroupCounts
	// Topics counts messages between backends.
	Topics publish.Stats
}

// Stats returns the current counts.
func (d *Dispatcher) Stats() Stats {
	s := d.deadLetters
	s.mu.Lock()
	dead, forgotten := s.added, s.dropped
	s.mu.Unlock()
	return Stats{
		d.events.Load(), d.unheard.Load(), d.dropped.Load(),
		d.redelivered.Load(), d.stalledSubscriptions.Load(), d.stalledSessions.Load(),
		d.verdictTimeouts.Load(),
		dead, forgotten, d.replayed.Load(),
		d.lost.Load(),
		d.groupCounts(),
		d.topics.Stats(),
	}
}

// Add adds what another dispatcher counted.
func (s *Stats) Add(o *Stats) {
	s.Events += o.Events
	s.Unheard += o.Unheard
	s.Dropped += o.Dropped
	s.Redelivered += o.Redelivered
	s.StalledConsumers += o.StalledConsumers
	s.StalledSessions += o.StalledSessions
	s.VerdictTimeouts += o.VerdictTimeouts
	s.DeadLetters += o.DeadLetters
	s.DeadLettersDropped += o.DeadLettersDropped
	s.DeadLettersReplayed += o.DeadLettersReplayed
	s.Lost += o.Lost
	s.Topics.Add(&o.Topics)
	groups := make(map[string]GroupCounts, len(s.Groups))
	maps.Copy(groups, s.Groups)
	for name, c := range o.Groups {
		sum := groups[name]
		sum.Add(&c)
		groups[name] = sum
	}
	s.Groups = groups
}
