package dispatch

import "time"

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
	Consumers     []SubscriptionStatus
	OrphanedBytes int // waiting for nobody
	Waiting       int // events that wait or are in flight
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
	st := GroupStatus{Name: g.name, OrphanedBytes: g.orphaned.bytes}
	for _, q := range g.queues {
		st.Waiting += len(q.items)
	}
	for _, m := range g.subscriptions {
		st.Consumers = append(st.Consumers, SubscriptionStatus{
			SubscriptionOptions: m.options, Connections: m.queues, InFlight: m.inflight,
			QueuedBytes: m.bytes, Draining: m.draining, LastActive: m.progress,
		})
	}
	return st
}

// Stats counts since the start.
type Stats struct {
	Events, Unheard, Dropped, Redelivered, StalledConsumers, StalledSessions uint64
	VerdictTimeouts                                                          uint64 // connections refused because no verdict came in time
}

// Stats returns the current counts.
func (d *Dispatcher) Stats() Stats {
	return Stats{
		d.events.Load(), d.unheard.Load(), d.dropped.Load(),
		d.redelivered.Load(), d.stalled.Load(), d.cut.Load(),
		d.verdictTimeouts.Load(),
	}
}
