package ops

import (
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// byGroup is a metric with the label group. There are no more than 100 groups at once;
// a counter begins anew with a group that was forgotten meanwhile.
func byGroup(name string, kind Type, help string, of func(dispatch.GroupCounts) float64) metric[dispatch.Stats] {
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
		"What browsers did: events that they sent, and connections that began and ended.",
		func(s dispatch.Stats) uint64 { return s.Events }),
	counter("fanoutd_deliveries_unheard_total",
		"What browsers did that no group of consumers asked for: events that they sent, and connections that began and ended.",
		func(s dispatch.Stats) uint64 { return s.Unheard }),
	counter("fanoutd_deliveries_dropped_total",
		"Deliveries thrown away: by policy, with a forgotten group, or for want of room when their session ended.",
		func(s dispatch.Stats) uint64 { return s.Dropped }),
	counter("fanoutd_deliveries_lost_total",
		"Deliveries dropped because their group had no room for them and settled nothing, while another group served the connection; they count as dropped too.",
		func(s dispatch.Stats) uint64 { return s.Lost }),
	counter("fanoutd_deliveries_repeated_total",
		"Deliveries taken back from consumers that went or did not settle in time.",
		func(s dispatch.Stats) uint64 { return s.Redelivered }),
	counter("fanoutd_consumers_stalled_total",
		"Consumers ended because they did not read while events waited.",
		func(s dispatch.Stats) uint64 { return s.StalledConsumers }),
	counter("fanoutd_sessions_stalled_total",
		"Engine.IO sessions closed because their events were not consumed within hold-timeout.",
		func(s dispatch.Stats) uint64 { return s.StalledSessions }),
	counter("fanoutd_verdict_timeouts_total",
		"Connections refused because no consumer decided on them in time.",
		func(s dispatch.Stats) uint64 { return s.VerdictTimeouts }),
	counter("fanoutd_dead_letters_total",
		"Events that a group gave up: they failed too often, or were too large.",
		func(s dispatch.Stats) uint64 { return s.DeadLetters }),
	counter("fanoutd_dead_letters_dropped_total",
		"Dead letters forgotten because dead-letter-bytes had no room for them.",
		func(s dispatch.Stats) uint64 { return s.DeadLettersDropped }),
	counter("fanoutd_dead_letters_replayed_total",
		"Dead letters delivered once more by ReplayDeadLetters.",
		func(s dispatch.Stats) uint64 { return s.DeadLettersReplayed }),
	counter("fanoutd_publishes_total",
		"Messages between backends that callers of this node published.",
		func(s dispatch.Stats) uint64 { return s.Topics.Published }),
	counter("fanoutd_published_messages_total",
		"Messages between backends for consumers of this node, each as often as there were consumers for it.",
		func(s dispatch.Stats) uint64 { return s.Topics.Handed }),
	counter("fanoutd_published_dropped_total",
		"Messages between backends that a consumer of this node did not get: there was no room, they were too large for it, or it left.",
		func(s dispatch.Stats) uint64 { return s.Topics.Dropped }),
	counter("fanoutd_published_answers_total",
		"Answers of consumers of this node to messages between backends.",
		func(s dispatch.Stats) uint64 { return s.Topics.Answered }),
	byGroup("fanoutd_group_consumers", Gauge,
		"Consumers of a group that this node delivers to, those of other nodes included.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Consumers) }),
	byGroup("fanoutd_group_pending_events", Gauge,
		"Events that wait for a group's consumers, or are in flight to them.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Waiting) }),
	byGroup("fanoutd_group_pending_bytes", Gauge,
		"Bytes of the events that wait for a group's consumers, or are in flight to them.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Bytes) }),
	byGroup("fanoutd_group_in_flight_events", Gauge,
		"Events that were delivered to a group's consumers and are not settled.",
		func(g dispatch.GroupCounts) float64 { return float64(g.InFlight) }),
	byGroup("fanoutd_group_oldest_pending_seconds", Gauge,
		"How long the oldest event of a group has been pending: it waits, or is in flight. 0: there is none.",
		func(g dispatch.GroupCounts) float64 { return g.OldestAge.Seconds() }),
	byGroup("fanoutd_group_delivered_total", Counter,
		"Deliveries to a group's consumers, repeated ones too.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Delivered) }),
	byGroup("fanoutd_group_repeated_total", Counter,
		"Deliveries taken back from a group's consumers that went or did not settle in time.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Redelivered) }),
	byGroup("fanoutd_group_dropped_total", Counter,
		"A group's events that were dropped.",
		func(g dispatch.GroupCounts) float64 { return float64(g.Dropped) }),
	byGroup("fanoutd_group_dead_letters_total", Counter,
		"Events that a group gave up.",
		func(g dispatch.GroupCounts) float64 { return float64(g.DeadLetters) }),
}
