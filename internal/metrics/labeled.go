package metrics

import (
	"sync"
	"sync/atomic"
)

// Labeled counts by a label, of which there are to be few: nothing is ever
// forgotten. The zero value is ready; it is safe for concurrent use.
type Labeled struct {
	counts sync.Map // string to *atomic.Uint64
}

// Add counts n more.
func (c *Labeled) Add(label string, n uint64) {
	count, ok := c.counts.Load(label)
	if !ok {
		count, _ = c.counts.LoadOrStore(label, new(atomic.Uint64))
	}
	count.(*atomic.Uint64).Add(n)
}

// All returns the counts by label; these labels are among them with 0 before anything is
// counted, since a rate needs a first value.
func (c *Labeled) All(labels ...string) map[string]uint64 {
	all := map[string]uint64{}
	for _, label := range labels {
		all[label] = 0
	}
	c.counts.Range(func(label, count any) bool {
		all[label.(string)] = count.(*atomic.Uint64).Load()
		return true
	})
	return all
}
