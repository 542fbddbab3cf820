// Package scavenge gives the memory of a burst back to the system once it is over.
//
// Go keeps what a burst took: garbage until as much again is allocated as is in use, which
// takes a process that has become idle minutes, and free memory until a background
// scavenger, which is slow on purpose, comes to it. This package has both done at once when
// little is allocated and much would come free, and else nothing. It knows nothing of who
// uses the memory.
package scavenge

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// interval is how often the memory is looked at, which costs microseconds.
	interval = time.Second
	// quiet is which part of the live heap may be allocated between two looks by a process
	// that is idle: Go would collect its garbage after as many looks.
	quiet = 16
	// worth is which part of the live heap has to be allocated before it is worth a
	// collection: no more can be garbage, or free since.
	worth = 4
	// atLeast is that where the live heap is small, in bytes. Half of it may be allocated
	// between two looks then.
	atLeast = 2 << 20
	// share is the most of the time that may go into giving memory back: one part of so
	// many.
	share = 100
)

// usage is what a process uses, in bytes.
type usage struct {
	live      uint64 // found in use by the last collection
	allocated uint64 // since the start
}

// scavenger looks after the memory of one process.
type scavenger struct {
	read func() usage
	free func() // collects garbage, and gives back all that is free

	last  uint64    // allocated at the last look
	given uint64    // allocated when memory was given back
	rest  time.Time // nothing is given back before
}

// Run gives memory back until ctx ends.
func Run(ctx context.Context) { newScavenger().run(ctx) }

func newScavenger() *scavenger {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	return &scavenger{free: collect, read: func() usage {
		metrics.Read(samples)
		return usage{live: samples[0].Value.Uint64(), allocated: samples[1].Value.Uint64()}
	}}
}

// collect gives back all that is not in use. The first collection leaves what lies in pools
// to the second.
func collect() {
	runtime.GC()
	debug.FreeOSMemory()
}

func (s *scavenger) run(ctx context.Context) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.look()
		case <-ctx.Done():
			return
		}
	}
}

// look gives memory back if the process is idle and that is worth it.
func (s *scavenger) look() {
	now := s.read()
	idle := now.allocated-s.last <= max(now.live/quiet, atLeast/2)
	s.last = now.allocated
	if !idle || now.allocated-s.given < max(now.live/worth, atLeast) || time.Now().Before(s.rest) {
		return
	}
	began := time.Now()
	s.free()
	s.rest = time.Now().Add(share * time.Since(began))
	s.given = now.allocated
}
