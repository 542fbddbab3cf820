package sio

import (
	"container/heap"
	"sync"
	"time"
)

// retention bounds what all namespaces of a server keep for clients that may
// come back. It knows which of them keeps the oldest item, so that the oldest go
// first over all namespaces; the items themselves are the namespaces' own.
//
// Its lock is taken under any Namespace.mu and takes no other. Evicting from a
// namespace needs that namespace's lock, so the caller that adds calls evict once it has
// released its own.
type retention struct {
	limit int64 // bytes

	mu    sync.Mutex
	bytes int64
	order byOldest // of the recoveries that keep anything
}

// add accounts for n bytes more, or fewer, and for r's oldest item having been
// kept since oldest; zero: r keeps nothing.
func (t *retention) add(r *recovery, n int64, oldest time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes += n
	switch r.oldest = oldest; {
	case oldest.IsZero() && r.place >= 0:
		heap.Remove(&t.order, r.place)
	case oldest.IsZero():
	case r.place < 0:
		heap.Push(&t.order, r)
	default:
		heap.Fix(&t.order, r.place)
	}
}

// next returns the recovery that keeps the oldest item of all, nil while no more is kept
// than may be.
func (t *retention) next() *recovery {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bytes <= t.limit || len(t.order) == 0 {
		return nil
	}
	return t.order[0]
}

// evict removes the oldest items until no more is kept than may be. The caller
// holds no Namespace.mu. Several may be at it; then each does a part.
func (t *retention) evict() {
	for r := t.next(); r != nil; r = t.next() {
		r.evict()
	}
}

// kept returns how many bytes are kept.
func (t *retention) kept() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes
}

// byOldest is a heap of recoveries, whose oldest item is the oldest of all
// first. retention.mu guards it, and in each recovery its key and its place.
type byOldest []*recovery

func (h byOldest) Len() int           { return len(h) }
func (h byOldest) Less(i, j int) bool { return h[i].oldest.Before(h[j].oldest) }
func (h byOldest) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *byOldest) Push(x any) {
	r := x.(*recovery)
	r.place = len(*h)
	*h = append(*h, r)
}

func (h *byOldest) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	r.place = -1
	return r
}
