package engineio

import (
	"runtime"
	"sync"

	"github.com/fanoutd/fanoutd/internal/stack"
)

// readers are the goroutines that read from connections that were parked and have something to say. One that
// takes a connection has another called if there are more, so that a browser that its reader waits for holds up
// nobody, and what many small messages need is one or two goroutines whose stacks have grown already.
type readers struct {
	started sync.WaitGroup
	keep    int // goroutines that may wait for work

	mu      sync.Mutex
	work    sync.Cond // somebody is called, or stopped
	ready   []*wsConn // ready[:taken] were taken
	taken   int
	waiting int  // goroutines that wait for work and were not called
	called  bool // one is about to look
	stopped bool // nothing will be ready any more
}

func newReaders() *readers {
	r := &readers{keep: 2 * runtime.GOMAXPROCS(0)}
	r.work.L = &r.mu
	return r
}

// read has a connection read from, soon. It never blocks, and may be called under any lock.
func (r *readers) read(t *wsConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready = append(r.ready, t)
	r.callLocked()
}

// callLocked has one more goroutine look for what is ready, unless one is about to, which calls
// the next.
func (r *readers) callLocked() {
	switch {
	case r.taken == len(r.ready) || r.called:
		return
	case r.waiting > 0:
		r.waiting--
		r.work.Signal()
	default:
		r.started.Go(r.run)
	}
	r.called = true
}

// stop ends the goroutines when nothing will be ready any more, and waits for them.
func (r *readers) stop() {
	r.mu.Lock()
	r.stopped = true
	r.work.Broadcast()
	r.mu.Unlock()
	r.started.Wait()
}

func (r *readers) run() {
	stack.Reserve()
	for t := r.next(true); t != nil; t = r.next(false) {
		t.read(true)
		t.session.srv.running.Done()
	}
}

// next returns the next connection that is ready, and waits for it; nil: the goroutine is not needed any more.
// called says that it was called to look.
func (r *readers) next(called bool) *wsConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if called {
			r.called = false
		}
		if r.taken < len(r.ready) {
			break
		}
		if r.stopped || r.waiting >= r.keep {
			return nil
		}
		r.waiting++
		r.work.Wait()
		called = true
	}
	t := r.ready[r.taken]
	r.ready[r.taken] = nil
	if r.taken++; r.taken == len(r.ready) {
		r.ready, r.taken = r.ready[:0], 0
		if cap(r.ready) > maxSpare {
			r.ready = nil // a burst's
		}
	}
	r.callLocked()
	return t
}
