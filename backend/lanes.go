package backend

import (
	"sync"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// delivery is an event as one stream has brought it.
type delivery struct {
	stream *stream
	event  *Event
	kind   fanoutv1.Event_Kind
}

// lanes handles deliveries: those of one connection in order, one at a time,
// those of different connections by several goroutines. It outlives streams, so
// that an event that comes again by the next stream waits for the handler that
// is still at it. What waits is bounded by the deliveries in flight.
type lanes struct {
	handle  func(*delivery) outcome
	max     int // workers
	workers sync.WaitGroup

	mu     sync.Mutex
	all    map[string]*lane // those that are in use, by connection
	ready  []*lane          // that have something to handle and no worker
	busy   int              // workers
	recent memory
}

// lane is one connection's queue. lanes.mu guards it.
type lane struct {
	id      string
	waiting []*delivery
	active  bool // ready, or a worker has it

	// Of the connection's last failure: until the event with this sequence
	// comes again by the same stream, everything that comes by it will come
	// once more. nil: none.
	failed   *stream
	sequence uint64
}

func newLanes(workers int, handle func(*delivery) outcome) *lanes {
	return &lanes{handle: handle, max: workers, all: map[string]*lane{}}
}

// add queues a delivery; it never blocks.
func (l *lanes) add(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := d.event
	x := l.all[e.ID]
	if x == nil {
		x = &lane{id: e.ID}
		l.all[e.ID] = x
	}
	if x.failed == d.stream {
		if e.Sequence > x.sequence {
			d.stream.forget(1)
			return
		}
		x.failed = nil
	}
	x.waiting = append(x.waiting, d)
	l.activateLocked(x)
}

func (l *lanes) activateLocked(x *lane) {
	if x.active || len(x.waiting) == 0 {
		return
	}
	x.active = true
	l.ready = append(l.ready, x)
	if l.busy < l.max {
		l.busy++
		l.workers.Go(l.work)
	}
}

// work is a worker: it ends when nothing is ready.
func (l *lanes) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ready) > 0 {
		x := l.ready[0]
		l.ready = l.ready[1:]
		if len(x.waiting) > 0 {
			d := x.waiting[0]
			x.waiting[0] = nil
			x.waiting = x.waiting[1:]
			l.workLocked(x, d)
		}
		x.active = false
		l.activateLocked(x)
		l.cleanLocked(x)
	}
	l.ready = nil
	l.busy--
}

// workLocked handles one delivery, without the lock meanwhile, and settles it.
func (l *lanes) workLocked(x *lane, d *delivery) {
	o, known := l.recent.get(d.event.deliveryID)
	if !known {
		l.mu.Unlock()
		o = l.handle(d)
		l.mu.Lock()
	}
	if o.again {
		l.failLocked(x, d)
	} else {
		l.recent.put(o)
	}
	d.stream.settle(o)
}

// failLocked drops what followed a delivery that is given back: the daemon
// sends it again, after that one.
func (l *lanes) failLocked(x *lane, d *delivery) {
	if d.stream.isOver() || d.kind == fanoutv1.Event_CONNECTING { // nothing follows
		return
	}
	x.failed, x.sequence = d.stream, d.event.Sequence
	l.dropLocked(x, d.stream)
}

// dropLocked drops what waits in a lane and came by s.
func (l *lanes) dropLocked(x *lane, s *stream) {
	kept := x.waiting[:0]
	for _, d := range x.waiting {
		if d.stream != s {
			kept = append(kept, d)
		}
	}
	s.forget(len(x.waiting) - len(kept))
	clear(x.waiting[len(kept):])
	x.waiting = kept
}

// detach drops all that came by a stream that has ended: it comes again, here or
// elsewhere. Handlers that are at work go on.
func (l *lanes) detach(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.over()
	for _, x := range l.all {
		l.dropLocked(x, s)
		if x.failed == s {
			x.failed = nil
		}
		l.cleanLocked(x)
	}
}

// cleanLocked forgets a lane that is not in use.
func (l *lanes) cleanLocked(x *lane) {
	if !x.active && x.failed == nil && len(x.waiting) == 0 {
		delete(l.all, x.id)
	}
}

// lastResort returns what to settle a delivery by whose settlement the daemon
// cannot carry out; false: that was it already.
func (l *lanes) lastResort(deliveryID string) (outcome, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o, _ := l.recent.get(deliveryID)
	if o.last {
		return o, false
	}
	last := outcome{id: deliveryID, last: true}
	if o.request.GetVerdict() != nil {
		last.request, _ = refuse(deliveryID, &Refusal{}) // no data, no error
	}
	l.recent.put(last)
	return last, true
}

// wait returns when all handlers have returned. Nothing may be added any more.
func (l *lanes) wait() { l.workers.Wait() }
