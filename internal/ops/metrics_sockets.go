package ops

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// socketMetrics are about browsers and what is sent to them.
var socketMetrics = []metric[sio.Stats]{
	{
		desc: prometheus.NewDesc("fanoutd_sessions", "Engine.IO sessions open now, by transport.", []string{"transport"}, nil),
		kind: prometheus.GaugeValue,
		by: func(s sio.Stats) map[string]float64 {
			by := map[string]float64{}
			for transport, n := range s.Sessions {
				by[transport] = float64(n)
			}
			return by
		},
	},
	gauge("fanoutd_connections",
		"Socket.IO connections now, in all namespaces.",
		func(s sio.Stats) int { return s.Connections }),
	counter("fanoutd_events_received_total",
		"Events that browsers sent.",
		func(s sio.Stats) uint64 { return s.Received }),
	counter("fanoutd_emits_total",
		"Emits that were applied.",
		func(s sio.Stats) uint64 { return s.Emitted }),
	counter("fanoutd_events_sent_total",
		"Events queued for browsers: one for each connection an emit reached.",
		func(s sio.Stats) uint64 { return s.Sent }),
	counter("fanoutd_volatile_dropped_total",
		"Volatile events dropped because a browser could not take them: one for each connection.",
		func(s sio.Stats) uint64 { return s.Dropped }),
	counter("fanoutd_sessions_slow_total",
		"Sessions closed because more waited for their browser than max-queue.",
		func(s sio.Stats) uint64 { return s.Slow }),
}
