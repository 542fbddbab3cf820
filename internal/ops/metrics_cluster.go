package ops

import (
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/forward"
)

var busMetrics = []metric[bus.Stats]{
	gauge("fanoutd_bus_connected", "1 while this node reaches the NATS that carries messages between nodes.",
		func(s bus.Stats) int { return oneIf(s.Connected) }),
	gauge("fanoutd_bus_routes", "Routes to the embedded NATS of other nodes now; 0 with an external one.", func(s bus.Stats) int { return s.Routes }),
	counter("fanoutd_bus_dropped_total", "Messages between nodes that were lost in this process: it was too slow for them, or NATS was away.",
		func(s bus.Stats) uint64 { return s.Dropped }),
	counter("fanoutd_bus_reconnects_total", "Times that this node came back to NATS.", func(s bus.Stats) uint64 { return s.Reconnects }),
}

var nodeMetrics = []metric[cluster.Stats]{
	gauge("fanoutd_nodes_alive", "Other nodes of the cluster that answer now.", func(s cluster.Stats) int { return s.Alive }),
	gauge("fanoutd_nodes_suspected", "Other nodes of the cluster that do not answer now, and are not given up yet.", func(s cluster.Stats) int { return s.Suspected }),
	counter("fanoutd_node_messages_sent_total", "Messages sent to other nodes.", func(s cluster.Stats) uint64 { return s.Sent }),
	counter("fanoutd_node_messages_received_total", "Messages received from other nodes.", func(s cluster.Stats) uint64 { return s.Received }),
	counter("fanoutd_node_packets_repaired_total", "Packets to other nodes that were sent once more, since they may have been lost.", func(s cluster.Stats) uint64 { return s.Repaired }),
	counter("fanoutd_node_messages_refused_total", "Messages to other nodes that were not sent, since the node did not answer or was too slow.", func(s cluster.Stats) uint64 { return s.Refused }),
	counter("fanoutd_node_messages_lost_total", "Messages to other nodes that were on their way when the node was taken for gone.", func(s cluster.Stats) uint64 { return s.Lost }),
	counter("fanoutd_node_requests_unanswered_total", "Requests to other nodes that were not answered in time, or at all.", func(s cluster.Stats) uint64 { return s.Unanswered }),
	counter("fanoutd_node_packets_bad_total", "Packets from the bus that could not be read.", func(s cluster.Stats) uint64 { return s.BadPackets }),
}

var forwardMetrics = []metric[forward.Stats]{
	counter("fanoutd_requests_forwarded_total", "Requests of browsers that were handed over to the node of their session.", func(s forward.Stats) uint64 { return s.Forwarded }),
	counter("fanoutd_requests_forward_failed_total", "Requests of browsers that were to be handed over to the node of their session, which could not be reached; they count as forwarded too.", func(s forward.Stats) uint64 { return s.Failed }),
}
