package loadmeter

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// step is how often the use of processors is looked at.
	step = 5 * time.Second
	// window is what the use is the mean of: long enough that a burst alone is none,
	// shorter than autoscalers look.
	window = 15 * time.Second
)

// Load is how much is used of what a process has, each as a ratio: 0: nothing, 1: all of
// it, or more than that.
type Load struct {
	// CPU is the processor time of the last 15 seconds, of what GOMAXPROCS processors
	// have; 0 before the first 5 seconds are over, and where the system does not tell.
	CPU float64
	// Sessions is how many sessions are open, of how many there may be; 0 if there may
	// be any number.
	Sessions float64
}

// Ratio is the greatest of them.
func (l Load) Ratio() float64 { return max(l.CPU, l.Sessions) }

// Meter measures a process. Create it with [New]. It is safe for concurrent use.
type Meter struct {
	sessions func() (open, most int)
	used     func() (processorTime time.Duration, ok bool) // of the process, since it began
	cpu      atomic.Pointer[float64]                       // nil: not measured yet
}

// New returns a Meter. sessions tells how many there are, and how many there may be;
// 0: any number.
func New(sessions func() (open, most int)) *Meter {
	return &Meter{sessions: sessions, used: processorTime}
}

// Run measures until ctx ends.
func (m *Meter) Run(ctx context.Context) {
	type sample struct {
		at   time.Time
		used time.Duration
	}
	var samples []sample // oldest first, up to one at the window's begin
	t := time.NewTicker(step)
	defer t.Stop()
	for {
		used, ok := m.used()
		if !ok {
			return
		}
		samples = append(samples, sample{time.Now(), used})
		if len(samples) > int(window/step)+1 {
			samples = samples[1:]
		}
		first, last := samples[0], samples[len(samples)-1]
		if took := last.at.Sub(first.at); took > 0 {
			cpu := float64(last.used-first.used) / float64(took) / float64(runtime.GOMAXPROCS(0))
			m.cpu.Store(&cpu)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// Load returns the load now.
func (m *Meter) Load() (l Load) {
	if cpu := m.cpu.Load(); cpu != nil {
		l.CPU = *cpu
	}
	if open, most := m.sessions(); most > 0 {
		l.Sessions = float64(open) / float64(most)
	}
	return l
}
