package ops

import "github.com/fanoutd/fanoutd/internal/dispatch"

// consumerMetrics are about what browsers do, on its way to consumers.
var consumerMetrics = []metric[dispatch.Stats]{
	counter("fanoutd_deliveries_events_total",
		"What browsers did, of every kind, connecting and disconnecting too.",
		func(s dispatch.Stats) uint64 { return s.Events }),
	counter("fanoutd_deliveries_unheard_total",
		"Of those, what no group asked for.",
		func(s dispatch.Stats) uint64 { return s.Unheard }),
	counter("fanoutd_deliveries_dropped_total",
		"Deliveries thrown away: by policy, with a forgotten group, or for want of room when their session ended.",
		func(s dispatch.Stats) uint64 { return s.Dropped }),
	counter("fanoutd_deliveries_repeated_total",
		"Deliveries taken back from consumers that went or did not settle in time.",
		func(s dispatch.Stats) uint64 { return s.Redelivered }),
	counter("fanoutd_consumers_stalled_total",
		"Consumers ended because they did not read while events waited.",
		func(s dispatch.Stats) uint64 { return s.StalledConsumers }),
	counter("fanoutd_sessions_stalled_total",
		"Sessions closed because their events were not consumed in time.",
		func(s dispatch.Stats) uint64 { return s.StalledSessions }),
	counter("fanoutd_verdict_timeouts_total",
		"Connections refused because no consumer decided on them in time.",
		func(s dispatch.Stats) uint64 { return s.VerdictTimeouts }),
	counter("fanoutd_dead_letters_total",
		"Events that a group gave up: they failed too often, or were too large.",
		func(s dispatch.Stats) uint64 { return s.DeadLetters }),
	counter("fanoutd_dead_letters_dropped_total",
		"Dead letters forgotten for want of room.",
		func(s dispatch.Stats) uint64 { return s.DeadLettersDropped }),
	counter("fanoutd_dead_letters_replayed_total",
		"Dead letters delivered once more by ReplayDeadLetters.",
		func(s dispatch.Stats) uint64 { return s.DeadLettersReplayed }),
}
