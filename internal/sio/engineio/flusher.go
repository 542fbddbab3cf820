package engineio

import (
	"runtime"
	"sync"

	"github.com/fanoutd/fanoutd/internal/netpoll"
)

// flusher is the goroutine that writes what waits for its share of the
// WebSockets. It never waits for a browser: what a connection does not take at
// once is left to a goroutine of that connection's own. While it is at work,
// messages gather in the outboxes and go out together on its next pass, so the
// busier it is, the fewer system calls a message costs.
type flusher struct {
	buffers writeBuffers // the goroutine's own

	passBytes int // that may be emitted between two passes

	mu      sync.Mutex
	work    sync.Cond // woken is not empty, or stopped
	turned  sync.Cond // a pass has begun, or the last has ended
	woken   []*wsConn // whose outboxes got messages since the last pass began
	passing bool      // a pass is being made
	paced   int       // bytes emitted since it began
	stopped bool      // nothing will be woken any more
}

// maxPassBytes bounds what may be emitted between two passes of a flusher, and
// with it what a healthy browser's outbox gathers.
const maxPassBytes = 256 << 10

// passShare is which part of an outbox's limit that is at most. A browser may be
// the last of a pass and the first of the next, so two passes' worth may wait for
// it: far below the limit, so that no emitter, however fast, makes browsers that
// read look slow.
const passShare = 4

// writeBuffers are what one pass writes with, kept to allocate nothing.
type writeBuffers struct {
	spare  []*Message
	bufs   [netpoll.MaxBuffers][]byte
	vector netpoll.Vector
}

// frames returns the frames of msgs, as many as one system call takes.
func (s *writeBuffers) frames(msgs []*Message) [][]byte {
	n := min(len(msgs), len(s.bufs))
	for i, m := range msgs[:n] {
		s.bufs[i] = m.frame
	}
	return s.bufs[:n]
}

// flushers share the sessions among themselves, one for each processor.
type flushers struct {
	all     []*flusher
	started sync.WaitGroup
}

func newFlushers(maxQueue int) *flushers {
	f := &flushers{}
	for range runtime.GOMAXPROCS(0) {
		x := &flusher{passBytes: min(maxPassBytes, maxQueue/passShare)}
		x.work.L, x.turned.L = &x.mu, &x.mu
		f.all = append(f.all, x)
		f.started.Go(x.run)
	}
	return f
}

// of returns the flusher of the n-th session.
func (f *flushers) of(n uint64) *flusher { return f.all[n%uint64(len(f.all))] }

// pace is called after bytes were emitted, with no lock held. It waits while much
// has been emitted since a flusher's pass began and what was may still wait for
// that pass or the next: for the time of one pass at most. A connection that the
// pass has not come to yet is not woken again: what gathers there counts as well.
func (f *flushers) pace(bytes int) {
	for _, x := range f.all {
		x.mu.Lock()
		for x.paced > x.passBytes && x.busyLocked() && !x.stopped {
			x.turned.Wait()
		}
		if x.busyLocked() {
			x.paced += bytes
		}
		x.mu.Unlock()
	}
}

// stop ends the flushers when nothing will be woken any more, and waits for them.
func (f *flushers) stop() {
	for _, x := range f.all {
		x.mu.Lock()
		x.stopped = true
		x.work.Signal()
		x.turned.Broadcast()
		x.mu.Unlock()
	}
	f.started.Wait()
}

// busyLocked reports whether something may wait for a pass.
func (x *flusher) busyLocked() bool { return x.passing || len(x.woken) > 0 }

// add puts a connection on the next pass. It is called with its outbox's lock held.
func (x *flusher) add(t *wsConn) {
	x.mu.Lock()
	x.woken = append(x.woken, t)
	if len(x.woken) == 1 {
		x.work.Signal()
	}
	x.mu.Unlock()
}

func (x *flusher) run() {
	var pass []*wsConn
	for {
		x.mu.Lock()
		x.passing, x.paced = false, 0
		x.turned.Broadcast()
		for len(x.woken) == 0 && !x.stopped {
			x.work.Wait()
		}
		if len(x.woken) == 0 {
			x.mu.Unlock()
			return
		}
		pass, x.woken, x.passing, x.paced = x.woken, pass[:0], true, 0
		x.mu.Unlock()
		for i, t := range pass {
			pass[i] = nil
			t.flush(&x.buffers)
		}
		if cap(pass) > maxPass {
			pass = nil // a burst's; the next may be long in coming
		}
	}
}

// maxPass bounds, in connections, the list a flusher keeps between bursts.
const maxPass = 1 << 16
