package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	// ErrStalled ends a subscription that made no progress while events waited.
	ErrStalled = errors.New("the consumer took and acknowledged nothing while events waited")
	// ErrReplaced ends a subscription whose consumer id joined anew.
	ErrReplaced = errors.New("the same consumer joined again")
	// ErrClosed ends a subscription that left.
	ErrClosed = errors.New("the consumer left")
	// ErrDrained: the subscription drains, and all that was in flight to it is settled.
	ErrDrained = errors.New("the consumer is drained")
	// ErrTooMany refuses a subscription beyond the limits.
	ErrTooMany = errors.New("too many consumers or groups")
	// ErrNotInFlight: the subscription has no such delivery to settle; it may have
	// gone to another.
	ErrNotInFlight = errors.New("no such delivery is in flight to this consumer")
	// ErrNoVerdict: a Connecting is settled by a verdict, and nothing else is.
	ErrNoVerdict = errors.New("a CONNECTING delivery takes a verdict, and no other delivery does")
)

// Subscription is one consumer in its group. Next, or Poll and News, are for one
// goroutine; all else is safe for concurrent use.
type Subscription struct {
	group   *group
	options SubscriptionOptions
	done    chan struct{}
	news    chan struct{} // holds one: Next is to look again

	// Guarded by group.mu.
	load
	cause    error // why done is closed
	queues   int   // that belong to it
	ready    []*queue
	inflight int
	draining bool // takes nothing new
	progress time.Time
	watchdog *time.Timer
}

// Subscribe adds a subscription to its group. A consumer id that is there already is
// replaced.
func (d *Dispatcher) Subscribe(s SubscriptionOptions) (*Subscription, error) {
	if s.MaxInFlight == 0 {
		s.MaxInFlight = 1000
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.groups[s.Group]
	if g == nil {
		if len(d.groups) >= maxGroups {
			return nil, fmt.Errorf("%w: %d groups", ErrTooMany, maxGroups)
		}
		g = &group{dispatcher: d, name: s.Group, queues: map[string]*queue{}}
		d.groups[s.Group] = g
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.subscriptions, func(m *Subscription) bool { return m.options.ConsumerID == s.ConsumerID }); i >= 0 {
		g.subscriptions[i].removeLocked(ErrReplaced)
	}
	if len(g.subscriptions) >= maxSubscriptions {
		return nil, fmt.Errorf("%w: %d consumers in the group", ErrTooMany, maxSubscriptions)
	}
	if g.forget != nil {
		g.forget.Stop()
	}
	m := &Subscription{group: g, options: s, done: make(chan struct{}), news: make(chan struct{}, 1), progress: time.Now()}
	m.watchdog = time.AfterFunc(d.opts.StallTimeout, m.watch)
	g.subscriptions = append(g.subscriptions, m)
	g.last = s
	g.reassign(&g.orphaned, g.queuesOf(nil)...)
	return m, nil
}

// Next returns the next delivery. It blocks until there is one and fewer than
// MaxInFlight are in flight, ctx ends, or the subscription has ended. On a subscription that
// drains it returns [ErrDrained] once nothing is in flight any more.
func (m *Subscription) Next(ctx context.Context) (Delivery, error) {
	for {
		if d, ok, err := m.Poll(); ok || err != nil {
			return d, err
		}
		select {
		case <-m.news:
		case <-m.done:
		case <-ctx.Done():
			return Delivery{}, context.Cause(ctx)
		}
	}
}

// Poll is Next for who waits for other things too: it returns at once, false if
// there is no delivery now, and [Subscription.News] tells when to ask again.
func (m *Subscription) Poll() (Delivery, bool, error) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	if m.cause != nil {
		return Delivery{}, false, m.cause
	}
	if m.draining && m.inflight == 0 {
		return Delivery{}, false, ErrDrained
	}
	for m.inflight < m.options.MaxInFlight && len(m.ready) > 0 {
		q := m.ready[0]
		m.ready[0] = nil
		if m.ready = m.ready[1:]; len(m.ready) == 0 {
			m.ready = nil
		}
		if q.owner != m || !q.ready {
			continue // it has moved on
		}
		q.ready = false
		if q.paused || q.gone || q.sent >= len(q.items) {
			continue
		}
		it := &q.items[q.sent]
		q.sent++
		it.attempt++
		m.inflight++
		m.progressed()
		d := Delivery{Event: it.event, Attempt: it.attempt}
		q.schedule()
		return d, true, nil
	}
	return Delivery{}, false, nil
}

// News receives when Poll, after it had nothing, may have something.
func (m *Subscription) News() <-chan struct{} { return m.news }

// wake makes Next look again.
func (m *Subscription) wake() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

func (m *Subscription) progressed() { m.progress = time.Now() }

// Ack settles a delivery: it was handled.
func (m *Subscription) Ack(id string) error {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	q, i, err := m.findLocked(id)
	if err != nil {
		return err
	}
	if q.items[i].event.Kind == Connecting {
		return ErrNoVerdict
	}
	m.settleLocked(q, i)
	return nil
}

// Verdict settles a Connecting.
func (m *Subscription) Verdict(id string, v Verdict) error {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	q, i, err := m.findLocked(id)
	if err != nil {
		return err
	}
	e := q.items[i].event
	if e.Kind != Connecting {
		return ErrNoVerdict
	}
	e.verdict <- v // holds one, and this is the only settlement
	m.settleLocked(q, i)
	return nil
}

// Nack refuses a delivery: it and what follows it from the same connection is
// delivered again, in order, after a pause that grows with each refusal.
func (m *Subscription) Nack(id string) error {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	q, i, err := m.findLocked(id)
	if err != nil {
		return err
	}
	it := &q.items[i]
	it.nacks++
	if it.nacks > maxNacks {
		m.group.dispatcher.dropped.Add(1)
		q.rewind(i + 1) // a refusal brings back what followed, this last one too
		m.settleLocked(q, i)
		q.schedule()
		return nil
	}
	pause := 50 * time.Millisecond << min(it.nacks, 8) // 100 ms to 12.8 s
	q.rewind(i)
	q.paused = true
	q.relieve()
	time.AfterFunc(pause, q.resume)
	m.progressed()
	m.handOverLocked(q)
	m.wake()
	return nil
}

// resume ends a queue's pause.
func (q *queue) resume() {
	q.group.mu.Lock()
	defer q.group.mu.Unlock()
	q.paused = false
	if !q.gone {
		q.schedule()
	}
}

func (m *Subscription) findLocked(id string) (*queue, int, error) {
	connection, sequence, ok := parseID(id)
	if q := m.group.queues[connection]; ok && q != nil && q.owner == m {
		if i := q.find(sequence); i >= 0 {
			return q, i, nil
		}
	}
	return nil, 0, ErrNotInFlight
}

func (m *Subscription) settleLocked(q *queue, i int) {
	q.settle(i)
	q.relieve()
	m.progressed()
	m.wake()
	q.done()
	m.handOverLocked(q)
}

// handOverLocked passes a draining subscription's queue on when nothing of it is in flight.
func (m *Subscription) handOverLocked(q *queue) {
	if m.draining && !q.gone && q.sent == 0 {
		m.group.reassign(&m.load, q)
	}
}

// Drain stops deliveries to the subscription; what is in flight may still be settled,
// and each connection moves on when its last is.
func (m *Subscription) Drain() {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	if m.cause != nil || m.draining {
		return
	}
	m.draining = true
	for _, q := range m.ready {
		if q.owner == m {
			q.ready = false
		}
	}
	m.ready = nil
	m.wake()
	idle := slices.DeleteFunc(m.group.queuesOf(m), func(q *queue) bool { return q.sent > 0 })
	m.group.reassign(&m.load, idle...)
}

// Close ends the subscription. What was in flight is delivered to others.
func (m *Subscription) Close() {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.removeLocked(ErrClosed)
}

// Done is closed when the subscription has ended.
func (m *Subscription) Done() <-chan struct{} { return m.done }

// Err returns why the subscription has ended, nil while it lives.
func (m *Subscription) Err() error {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	return m.cause
}

func (m *Subscription) removeLocked(cause error) {
	if m.cause != nil {
		return
	}
	m.cause = cause
	close(m.done)
	m.watchdog.Stop()
	g := m.group
	g.subscriptions = slices.DeleteFunc(g.subscriptions, func(o *Subscription) bool { return o == m })
	queues := g.queuesOf(m)
	for _, q := range queues {
		g.dispatcher.redelivered.Add(uint64(q.sent))
		q.rewind(0)
	}
	g.reassign(&m.load, queues...)
	for _, q := range queues {
		q.done()
	}
	m.ready = nil
	if len(g.subscriptions) == 0 && !g.last.Authorize {
		g.forget = time.AfterFunc(g.dispatcher.opts.GroupRetention, g.forgotten)
	}
}

// watch is the watchdog's function.
func (m *Subscription) watch() {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	if m.cause != nil {
		return
	}
	idle := time.Since(m.progress)
	limit := m.group.dispatcher.opts.StallTimeout
	if len(m.ready) > 0 && idle >= limit {
		m.group.dispatcher.stalled.Add(1)
		m.removeLocked(ErrStalled)
		return
	}
	m.watchdog.Reset(max(limit-idle, limit/4))
}
