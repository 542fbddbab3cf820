package ops

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanoutd/fanoutd/internal/metrics"
)

// Calls counts the calls of one method of the control API.
type Calls struct {
	Method    string            // service/method
	Codes     map[string]uint64 // calls that ended, by gRPC status code
	InFlight  int
	Durations metrics.Distribution
	Streaming bool // there are no Durations
}

// callMetrics are about the control API.
var callMetrics = []metric[[]Calls]{
	labeled(Counter, "fanoutd_control_calls_total",
		"Calls of the control API that ended, by method and gRPC status code.", []string{"method", "code"},
		func(all []Calls) []sample {
			var s []sample
			for _, c := range all {
				for code, n := range c.Codes {
					s = append(s, sample{float64(n), []string{c.Method, code}})
				}
			}
			return s
		}),
	labeled(Gauge, "fanoutd_control_calls_in_flight",
		"Calls of the control API that have not ended, by method.", []string{"method"},
		func(all []Calls) []sample {
			var s []sample
			for _, c := range all {
				s = append(s, sample{float64(c.InFlight), []string{c.Method}})
			}
			return s
		}),
	newMetric(Description{
		Name: "fanoutd_control_call_duration_seconds", Type: Histogram, Labels: []string{"method"},
		Help: "Seconds that calls of the control API took that are no streams, by method.",
	},
		func(all []Calls, d *prometheus.Desc, to chan<- prometheus.Metric) {
			for _, c := range all {
				if !c.Streaming {
					to <- distribution(d, c.Durations, c.Method)
				}
			}
		}),
}

// State is how far the daemon is between its start and its end.
type State struct {
	Ready    bool // /readyz says yes
	Draining bool // a drain has begun
}

// stateMetrics are about whether the daemon takes new browsers.
var stateMetrics = []metric[State]{
	gauge("fanoutd_ready",
		"1 while /readyz says yes; 0 at the start, during a drain, and while something is missing that it needs.",
		func(s State) int { return oneIf(s.Ready) }),
	gauge("fanoutd_draining",
		"1 from the beginning of a drain, or of a shutdown, to the end of the process.",
		func(s State) int { return oneIf(s.Draining) }),
}

func oneIf(is bool) int {
	if is {
		return 1
	}
	return 0
}
