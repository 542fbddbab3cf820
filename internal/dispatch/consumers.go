package dispatch

import "time"

// Consumer is a copy of what is known about one member.
type Consumer struct {
	Subscription
	Connections int // that belong to it
	InFlight    int
	QueuedBytes int // in flight and waiting
	Leaving     bool
	LastActive  time.Time // when it last took or settled a delivery
}

// Group is a copy of what is known about one group.
type Group struct {
	Name          string
	Consumers     []Consumer
	OrphanedBytes int // waiting for nobody
	Waiting       int // events that wait or are in flight
}

// Groups returns all groups, by name.
func (d *Dispatcher) Groups() []Group {
	var all []Group
	for _, g := range d.all() {
		all = append(all, g.view())
	}
	return all
}

func (g *group) view() Group {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := Group{Name: g.name, OrphanedBytes: g.orphaned.bytes}
	for _, l := range g.lanes {
		v.Waiting += len(l.items)
	}
	for _, m := range g.members {
		v.Consumers = append(v.Consumers, Consumer{
			Subscription: m.sub, Connections: m.lanes, InFlight: m.inflight,
			QueuedBytes: m.bytes, Leaving: m.leaving, LastActive: m.progress,
		})
	}
	return v
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
