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
	writes writes // the goroutine's own

	mu      sync.Mutex
	work    sync.Cond // woken is not empty, or stopped
	turned  sync.Cond // a pass has begun, or the last has ended
	woken   []*wsConn // whose outboxes got messages since the last pass began
	passing bool      // a pass is being made
	ahead   int       // bytes emitted since it began
	crowded bool      // since it began a connection of its has gathered much
	stopped bool      // nothing will be woken any more
}

// MaxAhead bounds, in bytes, what may be emitted between two passes of a flusher: how
// far emitters may be ahead of what is written. The further they are, the more gathers
// for each of many connections in many rooms, and goes out in one system call.
const MaxAhead = 4 << 20

// Emitters are paced from where a connection that its flusher writes to has gathered
// maxGathered bytes, or this share of its outbox's limit: far below the limit, so that no
// emitter, however fast, makes browsers that read look slow. More at once than maxGathered
// would not fit into a socket's buffer.
const (
	maxGathered   = 256 << 10
	gatheredShare = 4
)

// flushers share the sessions among themselves, one for each processor.
type flushers struct {
	all     []*flusher
	started sync.WaitGroup
}

func newFlushers() *flushers {
	f := &flushers{}
	for range runtime.GOMAXPROCS(0) {
		x := &flusher{}
		x.work.L, x.turned.L = &x.mu, &x.mu
		f.all = append(f.all, x)
		f.started.Go(x.run)
	}
	return f
}

// of returns the flusher of the n-th session.
func (f *flushers) of(n uint64) *flusher { return f.all[n%uint64(len(f.all))] }

// pace is called after bytes were emitted, with no lock held. It waits while a
// connection has gathered much since a flusher's pass began, or much was emitted in all,
// and may still wait for that pass or the next. Passes end, since they wait for no browser,
// and emitters who wait are woken by the end of each and look again.
func (f *flushers) pace(bytes int) {
	for _, x := range f.all {
		x.mu.Lock()
		for (x.crowded || x.ahead > MaxAhead) && x.busyLocked() && !x.stopped {
			x.turned.Wait()
		}
		if x.busyLocked() {
			x.ahead += bytes
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

// crowd has emitters wait for a pass. It is called with an outbox's lock held.
func (x *flusher) crowd() {
	x.mu.Lock()
	x.crowded = true
	x.mu.Unlock()
}

func (x *flusher) run() {
	var pass []*wsConn
	turn := netpoll.NewTurn()
	defer turn.Close()
	x.writes.batch = netpoll.NewBatch()
	defer x.writes.batch.Close()
	others := turns{give: turn.Give}
	for {
		x.mu.Lock()
		x.passing, x.ahead, x.crowded = false, 0, false
		x.turned.Broadcast()
		for len(x.woken) == 0 && !x.stopped {
			x.work.Wait()
		}
		if len(x.woken) == 0 {
			x.mu.Unlock()
			return
		}
		pass, x.woken = x.woken, pass[:0]
		x.passing, x.ahead, x.crowded = true, 0, false
		x.mu.Unlock()
		for i, t := range pass {
			pass[i] = nil
			x.writes.take(t)
			for x.writes.full() {
				x.writes.write()
				others.offer()
			}
		}
		for !x.writes.empty() {
			x.writes.write()
		}
		if cap(pass) > maxPass {
			pass = nil // a burst's; the next may be long in coming
		}
	}
}

// maxPass bounds, in connections, the list a flusher keeps between bursts.
const maxPass = 1 << 16
