package engineio

import (
	"sync"
	"testing"
)

// Whoever waits, before, meanwhile or after, hears of it, and nobody too early.
func TestLatch(t *testing.T) {
	for range 1000 {
		var l latch
		if l.isSet() {
			t.Fatal("set from the start")
		}
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				<-l.done()
				if !l.isSet() {
					t.Error("told too early")
				}
			})
		}
		select {
		case <-l.done():
			t.Fatal("done from the start")
		default:
		}
		l.set()
		<-l.done()
		waiting.Wait()
	}
}

func TestLatchAllocatesNothing(t *testing.T) {
	latches := make([]latch, 101)
	if n := testing.AllocsPerRun(100, func() {
		l := &latches[0]
		latches = latches[1:]
		l.set()
		<-l.done()
	}); n != 0 {
		t.Errorf("%v allocations where nobody waits", n)
	}
}
