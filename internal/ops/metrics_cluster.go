package ops

import "github.com/fanoutd/fanoutd/internal/cluster/bus"

var busMetrics = []metric[bus.Stats]{
	gauge("fanoutd_bus_connected", "1 while this node reaches the NATS that carries messages between nodes.",
		func(s bus.Stats) int {
			if s.Connected {
				return 1
			}
			return 0
		}),
	gauge("fanoutd_bus_routes", "Routes to the embedded NATS of other nodes; 0 with an external one.", func(s bus.Stats) int { return s.Routes }),
	counter("fanoutd_bus_dropped_total", "Messages between nodes that were lost in this process: it was too slow for them, or NATS was away.",
		func(s bus.Stats) uint64 { return s.Dropped }),
	counter("fanoutd_bus_reconnects_total", "Times that this node came back to NATS.", func(s bus.Stats) uint64 { return s.Reconnects }),
}
