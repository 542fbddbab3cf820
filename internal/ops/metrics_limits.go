package ops

import (
	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// refusalMetrics are about the callers of the control API.
var refusalMetrics = []metric[map[string]uint64]{
	reasons("fanoutd_control_auth_failures_total",
		"Calls of the control API that were refused for who called, by the reason in their error: KEY_MISSING, KEY_INVALID, CERTIFICATE_UNKNOWN, SCOPE_MISSING, KEY_LIMITED, ORIGIN_REFUSED or HOST_REFUSED.",
		func(refused map[string]uint64) map[string]uint64 { return refused }),
}

// Connections counts connections to the control API.
type Connections struct {
	Open      int
	Strangers int               // of these, by which nobody known calls
	Closed    map[string]uint64 // since the start, because of limits, by reason
}

// connectionMetrics are about the connections to the control API.
var connectionMetrics = []metric[Connections]{
	gauge("fanoutd_control_connections", "Connections to the control API.",
		func(c Connections) int { return c.Open }),
	gauge("fanoutd_control_connections_strangers",
		"Connections to the control API by which nobody has called yet with a key that is valid now.",
		func(c Connections) int { return c.Strangers }),
	reasons("fanoutd_control_connections_closed_total",
		"Connections to the control API that were closed because of their bounds, by reason: control-max-connections: there was no place for a new one; "+
			"crowded-out: the oldest without a valid key, to make room for a new one; no-call: no call with a valid key came in time; key-ended: the key of its caller is valid no longer.",
		func(c Connections) map[string]uint64 { return c.Closed }),
}

// blockMetrics are about who may not connect.
var blockMetrics = []metric[blocks.Counts]{
	labeled(Gauge, "fanoutd_blocks",
		"Users and networks that are blocked, by kind: users, addresses; or lifted: those that are not any more, which is remembered for a while.", []string{"kind"},
		func(c blocks.Counts) []sample {
			return samples(map[string]int{"users": c.Users, "addresses": c.Addresses, "lifted": c.Lifted})
		}),
}

// limitMetrics are about what browsers were not given.
var limitMetrics = []metric[sio.Stats]{
	reasons("fanoutd_refused_total",
		"Requests of browsers that were refused, mostly handshakes, by reason: the setting that says so; protocol: the request is none of Engine.IO; "+
			"unknown-session: its session has ended, or is another server's; blocked: its address is blocked; shutdown: no new sessions during a drain.",
		func(s sio.Stats) map[string]uint64 { return s.Refused }),
	counter("fanoutd_connects_blocked_total",
		"Connections that were refused because their user is blocked; those of blocked addresses are in fanoutd_refused_total.",
		func(s sio.Stats) uint64 { return s.Blocked }),
	counter("fanoutd_events_delayed_total",
		"Packets of browsers after which their connection was not read for a while, because of max-event-rate.",
		func(s sio.Stats) uint64 { return s.Delayed }),
	constant(Counter, "fanoutd_events_delay_seconds_total",
		"Seconds that browsers were not read because of max-event-rate, all together.",
		func(s sio.Stats) float64 { return s.Delays.Seconds() }),
}
