package ops

// Process is what the daemon counts of itself as a whole.
type Process struct {
	LogLinesLost uint64 // lines that were logged and not written
}

// processMetrics are about the daemon itself.
var processMetrics = []metric[Process]{
	counter("fanoutd_log_lines_lost_total",
		"Lines of the log that were left out because what reads it did not keep up, or could not write it.",
		func(p Process) uint64 { return p.LogLinesLost }),
}
