package ops

import "github.com/fanoutd/fanoutd/internal/loadmeter"

// Process is what the daemon counts of itself as a whole.
type Process struct {
	LogLinesLost uint64            // lines that were logged and not written
	Panics       map[string]uint64 // caught, in what "browsers" and "backends" did
}

// processMetrics are about the daemon itself.
var processMetrics = []metric[Process]{
	counter("fanoutd_log_lines_lost_total",
		"Lines of the log that were left out because what reads it did not keep up, or could not write it.",
		func(p Process) uint64 { return p.LogLinesLost }),
	countersBy("of", "fanoutd_panics_total",
		"Panics that were caught, by whose doing: each is a mistake in fanoutd, and the log has its stack.",
		func(p Process) map[string]uint64 { return p.Panics }),
}

// loadMetrics are for autoscalers.
var loadMetrics = []metric[loadmeter.Load]{
	constant(Gauge, "fanoutd_load_ratio",
		"How busy this node is, to scale on: the greatest value of fanoutd_load_resource_ratio. 0: not at all; 1: something is used up.",
		loadmeter.Load.Ratio),
	labeled(Gauge, "fanoutd_load_resource_ratio",
		"How much of a resource is used, from 0 to 1, or more: processor time of the last 15 s, of what GOMAXPROCS processors have; open sessions, of max-sessions, 0 where that is 0.",
		[]string{"resource"},
		func(l loadmeter.Load) []sample {
			return []sample{{l.CPU, []string{"cpu"}}, {l.Sessions, []string{"sessions"}}}
		}),
}
