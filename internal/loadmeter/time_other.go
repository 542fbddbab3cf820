//go:build !unix

package loadmeter

import "time"

// processorTime: the system does not tell.
func processorTime() (time.Duration, bool) { return 0, false }
