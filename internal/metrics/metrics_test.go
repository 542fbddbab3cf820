package metrics

import (
	"maps"
	"sync"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	h := NewHistogram(time.Millisecond, time.Second)
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Second, time.Minute} {
		h.Observe(d)
	}
	got := h.Distribution()
	want := map[time.Duration]uint64{time.Millisecond: 2, time.Second: 4}
	if got.Count != 5 || got.Sum != time.Minute+time.Second+2*time.Millisecond+1 || !maps.Equal(got.Within, want) {
		t.Errorf("got %+v", got)
	}
}

func TestLabeled(t *testing.T) {
	var c Labeled
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for range 100 {
				c.Add("a", 1)
				c.Add("b", 2)
			}
		})
	}
	all.Wait()
	if got, want := c.All(), map[string]uint64{"a": 1000, "b": 2000}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := c.All("b", "c"), map[string]uint64{"a": 1000, "b": 2000, "c": 0}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	h := NewHistogram(time.Second)
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Minute) }); n > 0 {
		t.Errorf("a duration takes %v allocations", n)
	}
}
