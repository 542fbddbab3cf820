package ops

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// byGroup is a metric with the label group. There are no more than 100 groups at once;
// a counter begins anew with a group that was forgotten meanwhile.
func byGroup(name string, kind prometheus.ValueType, help string, of func(dispatch.GroupCounts) float64) metric[dispatch.Stats] {
	return labeled(kind, name, help, []string{"group"}, func(s dispatch.Stats) []sample {
		var all []sample
		for group, counts := range s.Groups {
			all = append(all, sample{of(counts), []string{group}})
		}
		return all
	})
}

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
	counter("fanoutd_deliveries_lost_total",
		"Of those, what a group had no room for and settled nothing of, while another group served the connection.",
		func(s dispatch.Stats) uint64 { return s.Lost }),
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
	byGroup("fanoutd_group_consumers", prometheus.GaugeValue,
		"Consumers that this node delivers to, those of other nodes included.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Consumers) }),
	byGroup("fanoutd_group_pending_events", prometheus.GaugeValue,
		"Events that wait for a group's consumers, or are in flight to them.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Waiting) }),
	byGroup("fanoutd_group_pending_bytes", prometheus.GaugeValue,
		"Bytes of those.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Bytes) }),
	byGroup("fanoutd_group_in_flight_events", prometheus.GaugeValue,
		"Of those, what was delivered and is not settled.",
		func(g dispatch.GroupCounts) float64 { return float64(g.InFlight) }),
	byGroup("fanoutd_group_oldest_pending_seconds", prometheus.GaugeValue,
		"How long the oldest of those has been there; 0: there is none.",
		func(g dispatch.GroupCounts) float64 { return g.OldestAge.Seconds() }),
	byGroup("fanoutd_group_delivered_total", prometheus.CounterValue,
		"Deliveries to a group's consumers, repeated ones too.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Delivered) }),
	byGroup("fanoutd_group_repeated_total", prometheus.CounterValue,
		"Deliveries taken back from a group's consumers that went or did not settle in time.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Redelivered) }),
	byGroup("fanoutd_group_dropped_total", prometheus.CounterValue,
		"A group's events that were thrown away.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Dropped) }),
	byGroup("fanoutd_group_dead_letters_total", prometheus.CounterValue,
		"Events that a group gave up.",
		func(g dispatch.GroupCounts) float64 { return float64(g.DeadLetters) }),
}
