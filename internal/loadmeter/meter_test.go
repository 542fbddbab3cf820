package loadmeter

import (
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// measured starts a Meter of a process whose use of all its processors is what busy says,
// in thousandths, from second to second.
func measured(t *testing.T, busy *atomic.Int64, sessions func() (int, int)) *Meter {
	t.Helper()
	var used atomic.Int64
	m := New(sessions)
	m.used = func() (time.Duration, bool) { return time.Duration(used.Load()), true }
	ticker := time.NewTicker(time.Second)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				used.Add(busy.Load() * int64(time.Millisecond) * int64(runtime.GOMAXPROCS(0)))
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() { <-ended; ticker.Stop() })
	time.Sleep(time.Second / 2) // the process is looked at between its seconds
	done := make(chan struct{})
	go func() { defer close(done); m.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	return m
}

func want(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// The use of processors is the mean of the last 15 seconds; the load is the greatest.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy, open, most atomic.Int64
		busy.Store(600)
		open.Store(30)
		most.Store(100)
		m := measured(t, &busy, func() (int, int) { return int(open.Load()), int(most.Load()) })
		synctest.Wait()
		want(t, "the first", m.Load().CPU, 0)
		want(t, "the load of sessions alone", m.Load().Ratio(), 0.3)
		time.Sleep(5100 * time.Millisecond)
		want(t, "after 5 seconds", m.Load().CPU, 0.6)
		want(t, "the load", m.Load().Ratio(), 0.6)
		time.Sleep(30 * time.Second)
		busy.Store(0)
		at := m.Load().CPU
		want(t, "before it was idle", at, 0.6)
		time.Sleep(5 * time.Second)
		want(t, "5 seconds later", m.Load().CPU, 0.4)
		time.Sleep(10 * time.Second)
		want(t, "15 seconds later", m.Load().CPU, 0)
		want(t, "the load", m.Load().Ratio(), 0.3)
		open.Store(150) // most was set lower meanwhile
		want(t, "too many", m.Load().Ratio(), 1.5)
		most.Store(0)
		want(t, "no limit", m.Load().Ratio(), 0)
	})
}

// What the system says grows with what is done.
func TestProcessorTime(t *testing.T) {
	before, ok := processorTime()
	if !ok {
		t.Skip("this system does not tell")
	}
	for began := time.Now(); ; {
		if used, _ := processorTime(); used > before {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal("a minute of work took no time")
		}
	}
}
