//go:build unix

package loadmeter

import (
	"syscall"
	"time"
)

// processorTime returns the processor time that the process has used.
func processorTime() (time.Duration, bool) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, false
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), true
}
