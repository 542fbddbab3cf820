package ops

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
