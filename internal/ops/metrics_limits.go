package ops

import (
	"github.com/fanoutd/fanoutd/internal/sio"
)

// refusalMetrics are about the callers of the control API.
var refusalMetrics = []metric[map[string]uint64]{
	reasons("fanoutd_control_auth_failures_total",
		"Calls of the control API that were refused for who called, by the reason in their error: KEY_MISSING, KEY_INVALID, CERTIFICATE_UNKNOWN, SCOPE_MISSING or KEY_LIMITED.",
		func(refused map[string]uint64) map[string]uint64 { return refused }),
}

// limitMetrics are about what browsers were not given.
var limitMetrics = []metric[sio.Stats]{
	reasons("fanoutd_refused_total",
		"Requests of browsers that were refused, mostly handshakes, by reason: the setting that says so; protocol: the request is none of Engine.IO; "+
			"unknown-session: its session has ended, or is another server's; shutdown: no new sessions during a drain.",
		func(s sio.Stats) map[string]uint64 { return s.Refused }),
	counter("fanoutd_events_delayed_total",
		"Packets of browsers after which their connection was not read for a while, because of max-event-rate.",
		func(s sio.Stats) uint64 { return s.Delayed }),
	constant(Counter, "fanoutd_events_delay_seconds_total",
		"Seconds that browsers were not read because of max-event-rate, all together.",
		func(s sio.Stats) float64 { return s.Delays.Seconds() }),
}
