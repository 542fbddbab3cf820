package dispatch

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fanoutd/fanoutd/internal/publish"
	"github.com/fanoutd/fanoutd/internal/sio"
)

var (
	// ErrStalled ends a subscription that took nothing while events waited.
	ErrStalled = errors.New("the consumer did not read its deliveries while events waited")
	// ErrReplaced ends a subscription whose consumer id subscribed anew.
	ErrReplaced = errors.New("the same consumer joined again")
	// ErrClosed ends a subscription by [Subscription.Close].
	ErrClosed = errors.New("the consumer left")
	// ErrDrained: the subscription drains, and all that was in flight to it is settled.
	ErrDrained = errors.New("the consumer is drained")
	// ErrTaken refuses a subscription with OnlyOwn whose consumer id another caller has.
	ErrTaken = errors.New("another caller has this consumer id in the group")
	// ErrTooMany refuses a subscription beyond the limits.
	ErrTooMany = errors.New("too many consumers or groups")
)

// SubscriptionOptions is what a consumer asks for.
type SubscriptionOptions struct {
	Group      string
	ConsumerID string
	Namespaces []string // names and patterns; empty: all
	Events     []string // names of messages; empty: all
	// NoEvents asks for no event, of whatever kind, and for no connection.
	NoEvents bool
	// Topics are those of messages between backends that the consumer gets; see
	// [Subscription.Published]. Not if Relayed: they go to where the consumer is.
	Topics    []string
	Lifecycle bool // Connected and Disconnected too
	// SkipExisting declines the Connected of connections that were there before.
	SkipExisting bool
	// RecoveryExpired asks for the events of that kind too.
	RecoveryExpired bool
	Authorize       bool // Connecting too
	// MaxInFlight bounds the events that were delivered and not settled.
	// 0 means 1000.
	MaxInFlight int
	// OneByOne delivers the next event of a connection when the one before it is settled.
	OneByOne bool
	// AckWait is how long the oldest delivery in flight of a connection may wait to
	// be settled, since it was delivered or the one before it settled, or since
	// Working; then the connection moves to another subscription. 0 means 30 s.
	AckWait time.Duration
	// Caller is the name of the caller that the consumer is of.
	Caller string
	// OnlyOwn says that the consumer may take the place of one of the same Caller only.
	OnlyOwn bool
	// Node is the name of the node that the consumer is connected to, for those who look.
	Node string
	// IncludeConnection says that the consumer wants to see the connection of each Message.
	// It changes nothing: see [Event.Current].
	IncludeConnection bool
	// View says how much of connections the consumer wants to see. It spares work and
	// leaves out nothing for sure.
	View View
	// Assignments says that the consumer wants to know which connections it owns: see
	// [Subscription.Handover]. All that are members of its namespaces then belong to a
	// subscription of the group, those too that nothing else is asked for of.
	Assignments bool

	// Relayed says that deliveries go to another process first, which judges whether the
	// consumer reads: StallTimeout does not hold for the subscription.
	Relayed bool
	// News is the channel that [Subscription.News] returns, with room for one, for who
	// waits for several subscriptions at once. Nil: one of its own.
	News chan struct{} `json:"-"`
}

// Subscription is one consumer's place in its group: the connections that it owns
// and what is in flight to it. Next, or Poll and News, are for one goroutine; all
// else is safe for concurrent use.
type Subscription struct {
	group    *group
	options  SubscriptionOptions
	actor    sio.Actor // of what the consumer changes itself
	interest interest
	done     chan struct{}
	news     chan struct{}    // holds one: Next is to look again
	mailbox  *publish.Mailbox // nil: it asked for no topic

	// Guarded by group.mu.
	load
	cause       error // why done is closed
	owned       owned
	turns       turns // of those queues, the ones that are ready
	suspects    suspects
	quiet       turns // of those queues, the ones with nothing in them
	leaving     int   // of those queues, the ones that are
	walk        *walk // through the connections that it may not have been told of; nil: none is left
	acks        ackWaits
	cancelled   []Cancelled // to be told
	lateUntil   time.Time   // it did not settle in time: others come first until then
	inFlight    int         // deliveries
	limit       int         // of those
	draining    bool        // takes nothing new
	settled     bool        // a delivery: what it asked for is remembered
	watchdog    watchdog
	assignments map[string]Assignment // to be told; nil: nobody wants to know
	coming      list.List             // of *queue: those that it owns and has not been told of, if it is to be
	changing    list.List             // of *queue: those that others have changed, which it is to be told of
	released    []string              // connections that it was told of and owns no more, to be told
}

// Subscribe adds a consumer to its group. It replaces the subscription with the
// same consumer id, if there is one. Errors: [ErrTaken], [ErrTooMany].
func (d *Dispatcher) Subscribe(o SubscriptionOptions) (*Subscription, error) {
	s, err := d.subscribe(o)
	if s != nil {
		s.group.settleDown() // of the one that it replaced
	}
	return s, err
}

func (d *Dispatcher) subscribe(o SubscriptionOptions) (*Subscription, error) {
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 1000
	}
	if o.AckWait == 0 {
		o.AckWait = 30 * time.Second
	}
	if o.News == nil {
		o.News = make(chan struct{}, 1)
	}
	s := &Subscription{
		options: o, actor: sio.Owner{Group: o.Group, ConsumerID: o.ConsumerID}.Actor(), interest: newInterest(&o), done: make(chan struct{}), news: o.News, limit: o.MaxInFlight,
	}
	if o.Relayed && o.Lifecycle {
		s.assignments = map[string]Assignment{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.groups[o.Group]
	if err := d.admitsLocked(g, &s.interest); err != nil {
		return nil, err
	}
	if g == nil {
		g = &group{dispatcher: d, name: o.Group, queues: map[string]*queue{}}
	}
	s.group = g
	g.mu.Lock()
	defer g.mu.Unlock()
	old := slices.IndexFunc(g.subscriptions, func(s *Subscription) bool { return s.options.ConsumerID == o.ConsumerID })
	if old >= 0 && o.OnlyOwn && g.subscriptions[old].options.Caller != o.Caller {
		return nil, ErrTaken
	}
	if old < 0 && len(g.subscriptions) >= maxSubscriptions {
		return nil, fmt.Errorf("%w: %d consumers in the group", ErrTooMany, maxSubscriptions)
	}
	if o.Authorize {
		all := g.authorized.union(&s.interest.namespaces)
		if len(all.names)+len(all.patterns) > maxAuthorized {
			return nil, fmt.Errorf("%w: the group authorises %d namespaces; DeleteGroup makes it forget them", ErrTooMany, maxAuthorized)
		}
		g.authorized = all
	}
	d.groups[o.Group] = g
	s.watchdog.progressed()
	if !o.Relayed {
		s.watchdog.start(d.opts.StallTimeout, s.watch)
	}
	g.subscriptions = append(g.subscriptions, s)
	if o.Assignments {
		d.changes.wanted.Add(1) // before it is told of any
	}
	if old < 0 {
		s.joinTopics(nil)
	} else {
		replaced := g.subscriptions[old]
		s.joinTopics(replaced)
		replaced.endLocked(ErrReplaced)
	}
	g.reassignLocked(&g.unowned, g.queuesLocked(nil)...)
	if o.Lifecycle && !o.SkipExisting || o.Assignments {
		s.walkLocked()
	}
	g.scheduleLocked()
	g.evenOutLocked()
	return s, nil
}

// admitsLocked returns why a subscription may not join g, nil for a new group, or
// nil if it may. mu is held.
func (d *Dispatcher) admitsLocked(g *group, i *interest) error {
	listens := g != nil && g.listens.Load()
	authorizes := i.authorize && (g == nil || !g.authorizesAny()) // for the first time
	if listens && !authorizes {
		return nil
	}
	listening, kept := 0, 0
	for _, o := range d.groups {
		if o.listens.Load() {
			listening++
		} else {
			kept++
		}
	}
	if !listens && listening >= maxGroups {
		return fmt.Errorf("%w: %d groups", ErrTooMany, maxGroups)
	}
	if authorizes && kept >= maxAuthorizingGroups {
		return fmt.Errorf("%w: %d groups without consumers authorise; DeleteGroup removes one", ErrTooMany, maxAuthorizingGroups)
	}
	return nil
}

// Next returns the next delivery. It blocks until there is one and fewer than
// MaxInFlight are in flight, ctx ends, or the subscription has ended. On one that
// drains it returns [ErrDrained] once nothing is in flight any more. It passes over
// what was taken back, and over handovers.
func (s *Subscription) Next(ctx context.Context) (Delivery, error) {
	for {
		for told := true; told; {
			_, told = s.Cancelled()
		}
		for told := true; told; {
			_, told = s.Handover()
		}
		if d, ok, err := s.Poll(); ok || err != nil {
			return d, err
		}
		select {
		case <-s.news:
		case <-s.done:
		case <-ctx.Done():
			return Delivery{}, context.Cause(ctx)
		}
	}
}

// Poll is Next for who waits for other things too: it returns at once, false if
// there is no delivery now, and [Subscription.News] tells when to ask again. Cancelled and
// Handover are to be asked before.
func (s *Subscription) Poll() (Delivery, bool, error) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	switch {
	case s.cause != nil:
		return Delivery{}, false, s.cause
	case s.draining && s.inFlight == 0:
		return Delivery{}, false, ErrDrained
	case len(s.cancelled) > 0, s.inFlight >= s.limit:
		return Delivery{}, false, nil
	}
	s.tellLocked()
	q := s.nextTurnLocked()
	if q == nil || q.untoldLocked() {
		return Delivery{}, false, nil
	}
	s.watchdog.progressed()
	return q.takeLocked(), true, nil
}

// nextTurnLocked returns the queue whose event is delivered next, nil if none is
// ready.
func (s *Subscription) nextTurnLocked() *queue {
	if q := s.suspects.nextLocked(); q != nil {
		return q
	}
	return s.turns.first
}

// News receives when Poll, after it had nothing, may have something.
func (s *Subscription) News() <-chan struct{} { return s.news }

// wake makes Next look again. It never blocks.
func (s *Subscription) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// Drain stops deliveries to the subscription; what is in flight may still be
// settled, and each connection moves on when its last is.
func (s *Subscription) Drain() {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	if s.cause != nil || s.draining {
		return
	}
	s.draining = true
	s.mailbox.Drain()
	s.wake()
	queues := s.group.queuesLocked(s)
	for _, q := range queues {
		q.advanceLocked()
	}
	quiet := slices.DeleteFunc(queues, func(q *queue) bool { return q.sent > 0 })
	s.group.reassignLocked(&s.load, quiet...)
	s.group.evenOutLocked()
}

// Close ends the subscription. What was in flight is delivered to others.
func (s *Subscription) Close() { s.end(ErrClosed) }

// end ends the subscription, and warns if nobody is left who authorises: no
// browser gets in then.
func (s *Subscription) end(cause error) {
	g := s.group
	g.mu.Lock()
	ended := s.cause == nil
	s.endLocked(cause)
	authorized := g.authorized.list()
	missing := ended && s.interest.authorize && !slices.ContainsFunc(g.subscriptions, func(o *Subscription) bool { return o.interest.authorize })
	g.mu.Unlock()
	g.settleDown()
	if !missing {
		return
	}
	if _, ok := g.missingAuthorizer.Event(); ok {
		g.dispatcher.log.Warn("the last consumer that authorises has left: until one comes, or DeleteGroup, nobody gets in",
			"group", g.name, "consumer", s.options.ConsumerID, "namespaces", authorized)
	}
}

// Serves reports whether the consumer asked for anything of the namespace.
func (s *Subscription) Serves(namespace string) bool { return s.interest.serves(namespace) }

// Done is closed when the subscription has ended.
func (s *Subscription) Done() <-chan struct{} { return s.done }

// Err returns why the subscription has ended, nil while it lives.
func (s *Subscription) Err() error {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return s.cause
}

// endLocked ends the subscription; the first cause stays. What was in flight may have
// brought the consumer down.
func (s *Subscription) endLocked(cause error) { s.leaveLocked(cause, true) }

// leaveLocked ends the subscription; the first cause stays. suspect says that what was
// in flight may have been what ended it.
func (s *Subscription) leaveLocked(cause error, suspect bool) {
	if s.cause != nil {
		return
	}
	s.cause = cause
	if s.options.Assignments {
		s.group.dispatcher.changes.wanted.Add(-1)
	}
	close(s.done)
	s.mailbox.Close()
	s.watchdog.stop()
	s.endWalkLocked()
	if s.acks.timer != nil {
		s.acks.timer.Stop()
	}
	g := s.group
	g.subscriptions = slices.DeleteFunc(g.subscriptions, func(o *Subscription) bool { return o == s })
	g.rememberLocked(s)
	queues := g.queuesLocked(s)
	inFlight, suspects := s.inFlight, s.suspects.countLocked()
	for _, q := range queues {
		n := q.rewindLocked(0)
		if suspect {
			q.suspectLocked(n, inFlight, suspects)
		}
		g.takenBackLocked(n)
		q.buryLocked()
		q.dropUnwantedLocked()
	}
	g.reassignLocked(&s.load, queues...)
	for _, q := range queues {
		q.closeIfDoneLocked()
	}
	if !s.settled {
		g.pruneLocked()
	}
	g.scheduleLocked()
	g.evenOutLocked()
}
