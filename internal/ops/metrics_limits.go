package ops

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// limitMetrics are about what browsers were not given.
var limitMetrics = []metric[sio.Stats]{
	reasons("fanoutd_refused_total",
		"Requests of browsers that were refused, mostly handshakes, by reason: the setting that says so; protocol: no request of Engine.IO; "+
			"unknown-session: its session has ended, or is another server's; shutdown.",
		func(s sio.Stats) map[string]uint64 { return s.Refused }),
}

// reasons is a counter with the label reason.
func reasons[S any](name, help string, by func(S) map[string]uint64) metric[S] {
	return metric[S]{
		desc: prometheus.NewDesc(name, help, []string{"reason"}, nil),
		kind: prometheus.CounterValue,
		by: func(s S) map[string]float64 {
			values := map[string]float64{}
			for reason, n := range by(s) {
				values[reason] = float64(n)
			}
			return values
		},
	}
}
