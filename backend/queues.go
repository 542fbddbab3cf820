package backend

import (
	"context"
	"errors"
	"slices"
	"sync"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// delivery is an event as one stream has brought it, or what is not to be settled.
type delivery struct {
	stream  *stream
	event   *Event
	kind    fanoutv1.Event_Kind
	ends    bool // the connection is owned no more when it has been handled
	aside   aside
	message *Message // if that is published
}

// queues handles deliveries: those of one connection in order, one at a time,
// those of different connections by several goroutines. It outlives streams, so
// that an event that comes again by the next stream waits for the handler that
// is still at it. What waits is bounded by the deliveries in flight.
type queues struct {
	ctx     context.Context // of handlers
	handle  func(context.Context, *delivery) outcome
	tell    func(context.Context, *delivery) // handles what is not to be settled
	max     int                              // workers
	workers sync.WaitGroup

	mu     sync.Mutex
	all    map[string]*queue // those that are in use, by connection
	ready  []*queue          // that have something to handle and no worker
	found  sync.Cond         // something is ready for a worker that waits, or over
	count  int               // of workers
	idle   int               // workers that wait for something to be ready and were not called
	called bool              // a worker is about to look
	over   bool              // workers end once nothing is ready
	recent memory
	owned  map[string]Conn // that were told to be owned
}

// queue is one connection's queue. queues.mu guards it.
type queue struct {
	id      string
	waiting []*delivery
	active  bool                    // ready, or a worker has it
	handled *delivery               // by a worker, now
	cancel  context.CancelCauseFunc // ends its handler

	// The delivery that was given back, until the daemon has said which of those
	// behind it come once more: nothing of the queue is handled meanwhile. nil: none.
	failed *delivery
}

func newQueues(ctx context.Context, workers int, handle func(context.Context, *delivery) outcome, tell func(context.Context, *delivery)) *queues {
	qs := &queues{ctx: ctx, handle: handle, tell: tell, max: workers, all: map[string]*queue{}, owned: map[string]Conn{}}
	qs.found.L = &qs.mu
	return qs
}

// add queues a delivery; it never blocks.
func (qs *queues) add(d *delivery) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	qs.addLocked(d)
}

// knowsLater puts a change in the place of one that waits, so that no more than one does; it
// is false if none does.
func (q *queue) knowsLater(d *delivery) bool {
	for i, other := range slices.Backward(q.waiting) {
		switch other.aside {
		case changed:
			q.waiting[i] = d
			return true
		case becomesOwn, ownNoMore: // what is before it is about another time
			return false
		case anEvent, published:
		}
	}
	return false
}

// addUpTo queues a delivery unless so many wait in its queue, and reports whether it did.
func (qs *queues) addUpTo(d *delivery, most int) bool {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q := qs.all[d.event.ID]; q != nil && len(q.waiting) >= most {
		return false
	}
	qs.addLocked(d)
	return true
}

func (qs *queues) addLocked(d *delivery) {
	q := qs.all[d.event.ID]
	if q == nil {
		q = &queue{id: d.event.ID}
		qs.all[d.event.ID] = q
	}
	if d.aside == changed && q.knowsLater(d) {
		return
	}
	q.waiting = append(q.waiting, d)
	qs.activateLocked(q)
}

func (qs *queues) activateLocked(q *queue) {
	if q.active || q.failed != nil || len(q.waiting) == 0 {
		return
	}
	q.active = true
	qs.ready = append(qs.ready, q)
	qs.callLocked()
}

// callLocked has one more worker look for what is ready, unless one is about to, which calls
// the next. So of many queues that become ready at once those with quick handlers need few.
func (qs *queues) callLocked() {
	switch {
	case len(qs.ready) == 0 || qs.called:
	case qs.idle > 0:
		qs.called = true
		qs.idle--
		qs.found.Signal()
	case qs.count < qs.max:
		qs.called = true
		qs.count++
		qs.workers.Go(qs.work)
	}
}

// work is a worker.
func (qs *queues) work() {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for qs.called = false; qs.nextLocked(); {
		q := qs.ready[0]
		qs.ready[0] = nil
		qs.ready = qs.ready[1:]
		qs.callLocked()
		if len(q.waiting) > 0 {
			d := q.waiting[0]
			q.waiting[0] = nil
			q.waiting = q.waiting[1:]
			if d.aside == anEvent {
				qs.workLocked(q, d)
			} else {
				qs.tellLocked(d)
			}
			if d.ends {
				qs.tellLocked(released(d.stream, d.event.Conn))
			}
		}
		q.active = false
		qs.activateLocked(q)
		qs.cleanLocked(q)
	}
	qs.count--
}

// nextLocked waits, without the lock, until something is ready; false is the end.
func (qs *queues) nextLocked() bool {
	for len(qs.ready) == 0 {
		if qs.over {
			return false
		}
		qs.idle++
		qs.found.Wait()
		qs.called = false
	}
	return true
}

// workLocked handles one delivery, without the lock meanwhile, and settles it.
func (qs *queues) workLocked(q *queue, d *delivery) {
	var o outcome
	known := false
	if d.event.Attempt > 1 { // it may be one whose settlement was lost
		o, known = qs.recent.get(d.event.deliveryID)
	}
	if !known {
		ctx, cancel := context.WithCancelCause(qs.ctx)
		q.handled, q.cancel = d, cancel
		qs.mu.Unlock()
		o = qs.handle(ctx, d)
		qs.mu.Lock()
		takenBack := errors.Is(context.Cause(ctx), errCancelled)
		q.handled, q.cancel = nil, nil
		cancel(nil)
		if o.again && takenBack {
			d.stream.abandon(1) // nobody waits for it here, nor for what followed
			return
		}
	}
	switch {
	case !o.again:
		qs.recent.put(o)
	case !d.stream.hasEnded():
		q.failed = d
	}
	d.stream.settle(o)
}

// tellLocked runs the handler for what is not to be settled, without the lock meanwhile:
// each connection is told to be owned and then to be owned no more.
func (qs *queues) tellLocked(d *delivery) {
	id := d.event.ID
	conn, owned := qs.owned[id]
	switch {
	case d.aside == published:
	case d.aside == becomesOwn && owned:
		qs.tellLocked(released(d.stream, conn))
		fallthrough
	case d.aside == becomesOwn:
		qs.owned[id] = d.event.Conn
	case !owned:
		return
	case d.aside == changed:
		if d.event.Connection != nil {
			qs.owned[id] = d.event.Conn
		}
	default:
		delete(qs.owned, id)
		d.event.Conn = conn
	}
	qs.mu.Unlock()
	defer qs.mu.Lock()
	qs.tell(qs.ctx, d)
}

// discardLocked discards what waits in a queue and came by s: it comes again.
func (qs *queues) discardLocked(q *queue, s *stream) {
	kept, settled := q.waiting[:0], 0
	for _, d := range q.waiting {
		switch {
		case d.stream != s:
			kept = append(kept, d)
		case d.aside == anEvent:
			settled++
		}
	}
	s.abandon(settled)
	clear(q.waiting[len(kept):])
	q.waiting = kept
}

// cancel discards the deliveries of s that were taken back, and ends the handlers
// of those that are being handled. What comes after one that was given back may
// be handled then.
func (qs *queues) cancel(s *stream, ids []string) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for _, q := range qs.all {
		if d := q.handled; d != nil && d.stream == s && slices.Contains(ids, d.event.deliveryID) {
			q.cancel(errCancelled)
		}
		n := 0
		q.waiting = slices.DeleteFunc(q.waiting, func(d *delivery) bool {
			if d.stream != s || !slices.Contains(ids, d.event.deliveryID) {
				return false
			}
			n++
			if d.ends { // nothing else says that it is owned no more
				*d = *released(s, d.event.Conn)
			}
			return d.aside == anEvent
		})
		s.abandon(n)
		if q.failedBy(s) && slices.Contains(ids, q.failed.event.deliveryID) {
			q.failed = nil
			qs.activateLocked(q)
		}
		qs.cleanLocked(q)
	}
}

// resume has a queue go on whose delivery the daemon did not take back, since it
// was gone already.
func (qs *queues) resume(s *stream, id string) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for _, q := range qs.all {
		if q.failedBy(s) && q.failed.event.deliveryID == id {
			q.failed = nil
			qs.activateLocked(q)
			qs.cleanLocked(q)
		}
	}
}

func (q *queue) failedBy(s *stream) bool { return q.failed != nil && q.failed.stream == s }

// oldest returns the deliveries of s that are handled, or first to be handled, of
// each connection: those for whose settlement the daemon waits.
func (qs *queues) oldest(s *stream) (ids []string) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for _, q := range qs.all {
		switch {
		case q.handled != nil && q.handled.stream == s:
			ids = append(ids, q.handled.event.deliveryID)
		case q.failed == nil:
			if i := slices.IndexFunc(q.waiting, func(d *delivery) bool { return d.aside == anEvent }); i >= 0 && q.waiting[i].stream == s {
				ids = append(ids, q.waiting[i].event.deliveryID)
			}
		}
	}
	return ids
}

// detach discards all that came by a stream that has ended: it comes again, here or
// elsewhere, and so do its connections, which are owned no more. Handlers that are at work
// go on.
func (qs *queues) detach(s *stream) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	s.end()
	for _, q := range qs.all {
		qs.discardLocked(q, s)
		if q.failedBy(s) {
			q.failed = nil
			qs.activateLocked(q) // by a later stream
		}
		qs.cleanLocked(q)
	}
	for _, conn := range qs.owned {
		qs.addLocked(released(s, conn))
	}
}

// cleanLocked removes a queue that is not in use.
func (qs *queues) cleanLocked(q *queue) {
	if !q.active && q.failed == nil && len(q.waiting) == 0 {
		delete(qs.all, q.id)
	}
}

// lastResort returns what to settle a delivery by whose settlement the daemon
// cannot carry out; false: that was it already.
func (qs *queues) lastResort(deliveryID string) (outcome, bool) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	o, _ := qs.recent.get(deliveryID)
	if o.last {
		return o, false
	}
	last := outcome{id: deliveryID, last: true}
	if o.request.GetVerdict() != nil {
		last.request, _ = refuse(deliveryID, &Refusal{}) // no data, no error
	}
	qs.recent.put(last)
	return last, true
}

// wait returns when all handlers have returned. Nothing may be added any more.
func (qs *queues) wait() {
	qs.mu.Lock()
	qs.over = true
	qs.idle = 0
	qs.found.Broadcast()
	qs.mu.Unlock()
	qs.workers.Wait()
}
