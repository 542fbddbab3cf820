package engineio

import "sync/atomic"

// latch says once that something has happened. Its channel is made when somebody waits
// for it, which for most sessions nobody ever does. Its zero value is ready; it is safe for
// concurrent use.
type latch struct{ c atomic.Pointer[chan struct{}] }

// happened is the channel of every latch for which nobody waited.
var happened = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// done returns a channel that set closes.
func (l *latch) done() <-chan struct{} {
	if c := l.c.Load(); c != nil {
		return *c
	}
	c := make(chan struct{})
	if l.c.CompareAndSwap(nil, &c) {
		return c
	}
	return *l.c.Load()
}

// set says it. It is called once.
func (l *latch) set() {
	if c := l.c.Swap(&happened); c != nil {
		close(*c)
	}
}

// isSet reports whether it has happened.
func (l *latch) isSet() bool { return l.c.Load() == &happened }
