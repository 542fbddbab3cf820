package metrics

import (
	"sync/atomic"
	"time"
)

// Histogram counts durations by how long they are. Create it with [NewHistogram];
// it is safe for concurrent use.
type Histogram struct {
	bounds []time.Duration
	counts []atomic.Uint64 // one more than bounds
	sum    atomic.Int64    // time.Duration
}

// NewHistogram returns a histogram whose buckets end at these bounds, which have to
// ascend; what is longer counts too.
func NewHistogram(bounds ...time.Duration) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Distribution is what a histogram has counted.
type Distribution struct {
	Count uint64
	Sum   time.Duration
	// Within counts, for each bound, the durations up to it.
	Within map[time.Duration]uint64
}

// Distribution returns what was counted so far. What is being counted meanwhile may
// be in the one number and not in the other yet.
func (h *Histogram) Distribution() Distribution {
	d := Distribution{Sum: time.Duration(h.sum.Load()), Within: make(map[time.Duration]uint64, len(h.bounds))}
	for i := range h.counts {
		d.Count += h.counts[i].Load()
		if i < len(h.bounds) {
			d.Within[h.bounds[i]] = d.Count
		}
	}
	return d
}
