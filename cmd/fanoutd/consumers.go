package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// registerConsumers adds the metrics of deliveries.
func registerConsumers(r prometheus.Registerer, d *dispatch.Dispatcher) {
	count := func(name, help string, of func(dispatch.Stats) uint64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(of(d.Stats())) }))
	}
	count("fanoutd_deliveries_events_total", "What browsers did, of every kind, connecting and disconnecting too.",
		func(s dispatch.Stats) uint64 { return s.Events })
	count("fanoutd_deliveries_unheard_total", "Of those, what no group asked for.",
		func(s dispatch.Stats) uint64 { return s.Unheard })
	count("fanoutd_deliveries_dropped_total", "Deliveries thrown away: by policy, with a forgotten group, refused too often, or for want of room when their session ended.",
		func(s dispatch.Stats) uint64 { return s.Dropped })
	count("fanoutd_deliveries_repeated_total", "Deliveries taken back from consumers that went.",
		func(s dispatch.Stats) uint64 { return s.Redelivered })
	count("fanoutd_consumers_stalled_total", "Consumers ended because they made no progress while events waited.",
		func(s dispatch.Stats) uint64 { return s.StalledConsumers })
	count("fanoutd_sessions_stalled_total", "Sessions closed because their events were not consumed in time.",
		func(s dispatch.Stats) uint64 { return s.StalledSessions })
	count("fanoutd_verdict_timeouts_total", "Connections refused because no consumer decided on them in time.",
		func(s dispatch.Stats) uint64 { return s.VerdictTimeouts })
}
