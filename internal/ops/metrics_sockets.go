package ops

import (
	"github.com/fanoutd/fanoutd/internal/metrics"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// socketMetrics are about browsers and what is sent to them.
var socketMetrics = []metric[sio.Stats]{
	gauge("fanoutd_connections",
		"Socket.IO connections now, in all namespaces.",
		func(s sio.Stats) int { return s.Connections }),
	counter("fanoutd_connections_opened_total",
		"Socket.IO connections that began; one that came back as what it was (recovery) has begun once more.",
		func(s sio.Stats) uint64 { return s.Joined }),
	reasons("fanoutd_connections_closed_total",
		"Socket.IO connections that ended, by the reason that DISCONNECTED tells; one that may come back (recovery) has ended too.",
		func(s sio.Stats) map[string]uint64 { return s.Ended }),
	gauge("fanoutd_namespaces",
		"Namespaces now; those that match a pattern are there while somebody is in them.",
		func(s sio.Stats) int { return s.Namespaces }),
	gauge("fanoutd_rooms",
		"Rooms with somebody in them now, the room of each connection's own id included.",
		func(s sio.Stats) int { return s.Rooms }),
	counter("fanoutd_events_received_total",
		"Events that browsers sent.",
		func(s sio.Stats) uint64 { return s.Received }),
	counter("fanoutd_acks_received_total",
		"Answers of browsers to events that asked for one.",
		func(s sio.Stats) uint64 { return s.AcksReceived }),
	counter("fanoutd_acks_sent_total",
		"Answers to browsers' events that asked for one.",
		func(s sio.Stats) uint64 { return s.AcksSent }),
	gauge("fanoutd_acks_awaited",
		"Answers of browsers that EmitWithAck and Call await now.",
		func(s sio.Stats) int { return s.AwaitedAcks }),
	gauge("fanoutd_watches",
		"Watches of this node's connections now, those of other nodes' callers too.",
		func(s sio.Stats) int { return s.Watches }),
	counter("fanoutd_watch_resyncs_total",
		"Watches that had to be told anew what there is, since they were read too slowly.",
		func(s sio.Stats) uint64 { return s.WatchResyncs }),
	counter("fanoutd_emits_total",
		"Emits that this node applied to its connections, those that reached nobody too; other nodes' emits are among them.",
		func(s sio.Stats) uint64 { return s.Emitted }),
	counter("fanoutd_events_sent_total",
		"Events queued for browsers: one for each connection an emit reached.",
		func(s sio.Stats) uint64 { return s.Sent }),
	histogram("fanoutd_fanout_duration_seconds",
		"Seconds that an emit took, from its encoding until it was queued for all connections of this node that it reached.",
		func(s sio.Stats) metrics.Distribution { return s.FanOut }),
	counter("fanoutd_volatile_dropped_total",
		"Volatile events dropped because a browser could not take them: one for each connection.",
		func(s sio.Stats) uint64 { return s.Engine.Dropped }),
	counter("fanoutd_conflated_total",
		"Events that a newer one of the same conflate_key replaced before they were written to a browser: one for each connection.",
		func(s sio.Stats) uint64 { return s.Engine.Conflated }),
}

// sessionMetrics are about the Engine.IO sessions under the connections.
var sessionMetrics = []metric[sio.Stats]{
	labeled(Gauge, "fanoutd_sessions",
		"Engine.IO sessions open now, by transport.", []string{"transport"},
		func(s sio.Stats) []sample { return samples(s.Engine.Sessions) }),
	countersBy("transport", "fanoutd_sessions_opened_total",
		"Engine.IO sessions that were opened, by the transport that they began with.",
		func(s sio.Stats) map[string]uint64 { return s.Engine.Opened }),
	reasons("fanoutd_sessions_closed_total",
		"Engine.IO sessions that closed, by the reason.",
		func(s sio.Stats) map[string]uint64 { return s.Engine.Closed }),
	counter("fanoutd_sessions_slow_total",
		"Engine.IO sessions closed because more waited for their browser than max-queue allows.",
		func(s sio.Stats) uint64 { return s.Engine.Slow }),
	countersBy("transport", "fanoutd_upgrades_total",
		"Engine.IO sessions that changed from polling to another transport, by the other.",
		func(s sio.Stats) map[string]uint64 { return s.Engine.Upgrades }),
	counter("fanoutd_upgrades_failed_total",
		"WebSockets and WebTransport streams that were to take a polling session over and did not.",
		func(s sio.Stats) uint64 { return s.Engine.FailedUpgrades }),
	gauge("fanoutd_queue_bytes",
		"Bytes that wait to be written to browsers.",
		func(s sio.Stats) int { return s.Engine.Queued }),
	gauge("fanoutd_queue_largest_bytes",
		"Bytes that wait to be written to the browser of one session, at most.",
		func(s sio.Stats) int { return s.Engine.LargestQueue }),
	traffic("fanoutd_packets_received_total",
		"Engine.IO packets from browsers, by transport and type.",
		receivedTraffic, packets),
	traffic("fanoutd_packets_sent_total",
		"Engine.IO packets handed to a transport, by transport and type.",
		sentTraffic, packets),
	traffic("fanoutd_packet_bytes_received_total",
		"Bytes of the packets from browsers: without frames, base64, compression and HTTP.",
		receivedTraffic, packetBytes),
	traffic("fanoutd_packet_bytes_sent_total",
		"Bytes of the packets handed to a transport: without frames, base64, compression and HTTP.",
		sentTraffic, packetBytes),
}

// traffic is a counter with the labels transport and type.
func traffic(name, help string, direction func(sio.SessionStats) []sio.Traffic, of func(sio.Traffic) uint64) metric[sio.Stats] {
	return labeled(Counter, name, help, []string{"transport", "type"}, func(s sio.Stats) []sample {
		var all []sample
		for _, t := range direction(s.Engine) {
			all = append(all, sample{float64(of(t)), []string{t.Transport, t.Type}})
		}
		return all
	})
}

func receivedTraffic(s sio.SessionStats) []sio.Traffic { return s.Received }

func sentTraffic(s sio.SessionStats) []sio.Traffic { return s.Sent }

func packets(t sio.Traffic) uint64 { return t.Packets }

func packetBytes(t sio.Traffic) uint64 { return t.Bytes }
