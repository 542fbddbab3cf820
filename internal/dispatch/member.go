package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	// ErrStalled ends a member that made no progress while events waited.
	ErrStalled = errors.New("the consumer took and acknowledged nothing while events waited")
	// ErrReplaced ends a member whose consumer id joined anew.
	ErrReplaced = errors.New("the same consumer joined again")
	// ErrLeft ends a member that left.
	ErrLeft = errors.New("the consumer left")
	// ErrDrained: the member drains, and all that was in flight to it is settled.
	ErrDrained = errors.New("the consumer is drained")
	// ErrTooMany refuses a member beyond the limits.
	ErrTooMany = errors.New("too many consumers or groups")
	// ErrNotInFlight: the member has no such delivery to settle; it may have
	// gone to another.
	ErrNotInFlight = errors.New("no such delivery is in flight to this consumer")
	// ErrNoVerdict: a Connecting is settled by a verdict, and nothing else is.
	ErrNoVerdict = errors.New("a CONNECTING delivery takes a verdict, and no other delivery does")
)

// Member is one consumer in its group. Next, or Poll and News, are for one
// goroutine; all else is safe for concurrent use.
type Member struct {
	group *group
	sub   Subscription
	done  chan struct{}
	news  chan struct{} // holds one: Next is to look again

	// Guarded by group.mu.
	load
	cause    error // why done is closed
	lanes    int   // that belong to it
	ready    []*lane
	inflight int
	leaving  bool // takes nothing new
	progress time.Time
	watchdog *time.Timer
}

// Join adds a member to its group. A consumer id that is there already is
// replaced.
func (d *Dispatcher) Join(s Subscription) (*Member, error) {
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
		g = &group{dispatcher: d, name: s.Group, lanes: map[string]*lane{}}
		d.groups[s.Group] = g
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.members, func(m *Member) bool { return m.sub.ConsumerID == s.ConsumerID }); i >= 0 {
		g.members[i].removeLocked(ErrReplaced)
	}
	if len(g.members) >= maxMembers {
		return nil, fmt.Errorf("%w: %d consumers in the group", ErrTooMany, maxMembers)
	}
	if g.forget != nil {
		g.forget.Stop()
	}
	m := &Member{group: g, sub: s, done: make(chan struct{}), news: make(chan struct{}, 1), progress: time.Now()}
	m.watchdog = time.AfterFunc(d.opts.StallTimeout, m.watch)
	g.members = append(g.members, m)
	g.last = s
	g.reassign(&g.orphaned, g.lanesOf(nil)...)
	return m, nil
}

// Next returns the next delivery. It blocks until there is one and fewer than
// MaxInFlight are in flight, ctx ends, or the member has ended. On a member that
// drains it returns [ErrDrained] once nothing is in flight any more.
func (m *Member) Next(ctx context.Context) (Delivery, error) {
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
// there is no delivery now, and [Member.News] tells when to ask again.
func (m *Member) Poll() (Delivery, bool, error) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	if m.cause != nil {
		return Delivery{}, false, m.cause
	}
	if m.leaving && m.inflight == 0 {
		return Delivery{}, false, ErrDrained
	}
	for m.inflight < m.sub.MaxInFlight && len(m.ready) > 0 {
		l := m.ready[0]
		m.ready[0] = nil
		if m.ready = m.ready[1:]; len(m.ready) == 0 {
			m.ready = nil
		}
		if l.member != m || !l.ready {
			continue // it has moved on
		}
		l.ready = false
		if l.paused || l.gone || l.sent >= len(l.items) {
			continue
		}
		it := &l.items[l.sent]
		l.sent++
		it.attempt++
		m.inflight++
		m.progressed()
		d := Delivery{Event: it.event, Attempt: it.attempt}
		l.schedule()
		return d, true, nil
	}
	return Delivery{}, false, nil
}

// News receives when Poll, after it had nothing, may have something.
func (m *Member) News() <-chan struct{} { return m.news }

// wake makes Next look again.
func (m *Member) wake() {
	select {
	case m.news <- struct{}{}:
	default:
	}
}

func (m *Member) progressed() { m.progress = time.Now() }

// Ack settles a delivery: it was handled.
func (m *Member) Ack(id string) error {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	l, i, err := m.findLocked(id)
	if err != nil {
		return err
	}
	if l.items[i].event.Kind == Connecting {
		return ErrNoVerdict
	}
	m.settleLocked(l, i)
	return nil
}

// Verdict settles a Connecting.
func (m *Member) Verdict(id string, v Verdict) error {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	l, i, err := m.findLocked(id)
	if err != nil {
		return err
	}
	e := l.items[i].event
	if e.Kind != Connecting {
		return ErrNoVerdict
	}
	e.verdict <- v // holds one, and this is the only settlement
	m.settleLocked(l, i)
	return nil
}

// Nack refuses a delivery: it and what follows it from the same connection is
// delivered again, in order, after a pause that grows with each refusal.
func (m *Member) Nack(id string) error {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	l, i, err := m.findLocked(id)
	if err != nil {
		return err
	}
	it := &l.items[i]
	it.nacks++
	if it.nacks > maxNacks {
		m.group.dispatcher.dropped.Add(1)
		l.rewind(i + 1) // a refusal brings back what followed, this last one too
		m.settleLocked(l, i)
		l.schedule()
		return nil
	}
	pause := 50 * time.Millisecond << min(it.nacks, 8) // 100 ms to 12.8 s
	l.rewind(i)
	l.paused = true
	l.relieve()
	time.AfterFunc(pause, l.resume)
	m.progressed()
	m.handOverLocked(l)
	m.wake()
	return nil
}

// resume ends a lane's pause.
func (l *lane) resume() {
	l.group.mu.Lock()
	defer l.group.mu.Unlock()
	l.paused = false
	if !l.gone {
		l.schedule()
	}
}

func (m *Member) findLocked(id string) (*lane, int, error) {
	connection, sequence, ok := parseID(id)
	if l := m.group.lanes[connection]; ok && l != nil && l.member == m {
		if i := l.find(sequence); i >= 0 {
			return l, i, nil
		}
	}
	return nil, 0, ErrNotInFlight
}

func (m *Member) settleLocked(l *lane, i int) {
	l.settle(i)
	l.relieve()
	m.progressed()
	m.wake()
	l.done()
	m.handOverLocked(l)
}

// handOverLocked passes a leaving member's lane on when nothing of it is in flight.
func (m *Member) handOverLocked(l *lane) {
	if m.leaving && !l.gone && l.sent == 0 {
		m.group.reassign(&m.load, l)
	}
}

// Drain stops deliveries to the member; what is in flight may still be settled,
// and each connection moves on when its last is.
func (m *Member) Drain() {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	if m.cause != nil || m.leaving {
		return
	}
	m.leaving = true
	for _, l := range m.ready {
		if l.member == m {
			l.ready = false
		}
	}
	m.ready = nil
	m.wake()
	idle := slices.DeleteFunc(m.group.lanesOf(m), func(l *lane) bool { return l.sent > 0 })
	m.group.reassign(&m.load, idle...)
}

// Leave ends the member. What was in flight is delivered to others.
func (m *Member) Leave() {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.removeLocked(ErrLeft)
}

// Done is closed when the member has ended.
func (m *Member) Done() <-chan struct{} { return m.done }

// Err returns why the member has ended, nil while it lives.
func (m *Member) Err() error {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	return m.cause
}

func (m *Member) removeLocked(cause error) {
	if m.cause != nil {
		return
	}
	m.cause = cause
	close(m.done)
	m.watchdog.Stop()
	g := m.group
	g.members = slices.DeleteFunc(g.members, func(o *Member) bool { return o == m })
	lanes := g.lanesOf(m)
	for _, l := range lanes {
		g.dispatcher.redelivered.Add(uint64(l.sent))
		l.rewind(0)
	}
	g.reassign(&m.load, lanes...)
	for _, l := range lanes {
		l.done()
	}
	m.ready = nil
	if len(g.members) == 0 && !g.last.Authorize {
		g.forget = time.AfterFunc(g.dispatcher.opts.GroupMemory, g.forgotten)
	}
}

// watch is the watchdog's function.
func (m *Member) watch() {
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
