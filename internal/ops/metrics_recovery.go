package ops

import "github.com/fanoutd/fanoutd/internal/sio"

// recoveryMetrics are about clients that come back as what they were.
var recoveryMetrics = []metric[sio.Stats]{
	countersBy("result", "fanoutd_recoveries_total",
		"Socket.IO connections whose clients wanted to come back as what they were before they were cut off, by what came of it.",
		func(s sio.Stats) map[string]uint64 { return s.Recoveries }),
	gauge("fanoutd_offline_sessions",
		"Socket.IO connections that were cut off and may come back (recovery), now.",
		func(s sio.Stats) int { return s.Offline }),
	gauge("fanoutd_recovery_bytes",
		"Bytes that are kept for connections that may come back, at most recovery-bytes: what they were, and the latest events.",
		func(s sio.Stats) int { return int(s.Retained) }),
}
