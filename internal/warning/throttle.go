// Package warning bounds how often the log is told of the same thing.
package warning

import (
	"sync"
	"time"
)

// warnEvery lies between two warnings about the same thing: an outage is one
// event, not one for every browser that it keeps out.
const warnEvery = 10 * time.Second

// Throttle bounds how often the same thing is told: once in 10 seconds. The zero
// value is ready. It is safe for concurrent use.
type Throttle struct {
	mu   sync.Mutex
	told time.Time // when something was last told
	held int       // events since then
}

// Event counts one event. If it is time to tell, ok is true, and events is the
// number of those since the last time, this one included.
func (t *Throttle) Event() (events int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held++
	now := time.Now()
	if now.Sub(t.told) < warnEvery {
		return 0, false
	}
	events, t.told, t.held = t.held, now, 0
	return events, true
}
