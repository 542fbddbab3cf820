package consumers

import (
	"errors"
	"sync"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Subscription is a consumer at its home: its place in its group here, and at every
// other node. Its methods are those of [dispatch.Subscription].
type Subscription struct {
	d       *Dispatcher
	number  uint64
	options dispatch.SubscriptionOptions
	since   int64
	local   *dispatch.Subscription
	news    chan struct{} // holds one; local's too
	done    chan struct{}

	mu        sync.Mutex
	cause     error
	draining  bool
	remotes   map[string]*remote               // by epoch
	away      map[string]map[string]connection // by epoch: what belonged to it at nodes that it is to be a member at again
	ready     []delivery                       // from other nodes, in the order of their arrival
	flights   map[string]*flight               // deliveries of ready, and those that the consumer has, by id
	cancelled []dispatch.Cancelled
	localNext bool // whose turn it is

	awayAssigned  map[string]map[string]bool // by epoch: what the consumer was told it owns at those nodes
	localHandover bool                       // whose turn it was; of the goroutine that polls
	credits       credits
	lost          lost
	read          time.Time // when it took something last, or nothing was there
	watchdog      *time.Timer
}

// Subscribe adds a consumer to its group, here and at every other node, and returns when
// they have it, or SubscribeTimeout is over. It replaces the one with the same consumer
// id, wherever that is. Errors: [dispatch.ErrTaken]; [dispatch.ErrTooMany]; an [sio.UnreachableError] if its
// group begins to authorise and a node does not answer, which would let everybody in.
func (d *Dispatcher) Subscribe(o dispatch.SubscriptionOptions) (*Subscription, error) {
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 1000
	}
	begins := d.begins(&o)
	if begins {
		if node := d.silent(); node != "" {
			return nil, &sio.UnreachableError{Node: node}
		}
	}
	n := name{o.Group, o.ConsumerID}
	joins, former := d.joinings.now(n)
	s := &Subscription{
		d: d, options: o, since: joins.at, news: make(chan struct{}, 1), done: make(chan struct{}),
		remotes: map[string]*remote{}, away: map[string]map[string]connection{}, awayAssigned: map[string]map[string]bool{}, flights: map[string]*flight{}, read: time.Now(),
	}
	local := o
	local.News = s.news
	var err error
	if s.local, err = d.local.Subscribe(local); err != nil {
		d.joinsNot(n, joins, former)
		return nil, err
	}
	d.mu.Lock()
	d.number++
	s.number = d.number
	d.homes[s.number] = s
	if begins {
		d.beginning[o.Group] = true
	}
	peers := d.peersLocked()
	d.mu.Unlock()
	s.begin(len(peers))
	var joined []*remote
	for _, p := range peers {
		if r := s.join(p); r != nil {
			joined = append(joined, r)
		}
	}
	d.running.Go(s.follow)
	limit := d.opts.SubscribeTimeout
	if begins {
		limit = d.opts.CallTimeout
	}
	late := s.await(joined, limit)
	switch err := s.Err(); {
	case errors.Is(err, dispatch.ErrTooMany), errors.Is(err, dispatch.ErrTaken):
		return nil, err
	case begins && late != nil:
		s.Close()
		return nil, &sio.UnreachableError{Node: late.peer.name}
	case begins:
		d.mu.Lock()
		delete(d.beginning, o.Group)
		d.mu.Unlock()
	}
	return s, nil
}

// await waits until the consumer is a member at these places, or it has ended. It returns
// the first of those that do not say so in time, or are over, for all that is known.
func (s *Subscription) await(joined []*remote, limit time.Duration) *remote {
	late := time.NewTimer(limit)
	defer late.Stop()
	for _, r := range joined {
		select {
		case <-r.subscribed:
		case <-late.C:
			return r
		case <-s.done:
			return nil
		}
	}
	return nil
}

// begins reports whether a consumer has its group authorise what it did not before, as far
// as every node is known to know.
func (d *Dispatcher) begins(o *dispatch.SubscriptionOptions) bool {
	if !o.Authorize {
		return false
	}
	if !d.local.Authorizes(o.Group, o.Namespaces) {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.beginning[o.Group]
}

// silent returns the name of a node that does not answer; empty: there is none.
func (d *Dispatcher) silent() string {
	for _, p := range d.all() {
		p.mu.Lock()
		suspected := p.suspected
		p.mu.Unlock()
		if suspected {
			return p.name
		}
	}
	return ""
}

// begin hands out what may be in flight: to everybody if that is enough to share.
func (s *Subscription) begin(peers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchdog = time.AfterFunc(s.d.opts.StallTimeout, s.watch)
	s.credits.begin(s.options.MaxInFlight, peers, &holder{lower: s.local.Limit})
	s.lost.holder, s.lost.wake = &holder{lower: s.lost.lower}, s.poke
}

// follow ends the consumer everywhere when it has ended here, and hears of its end.
func (s *Subscription) follow() {
	select {
	case <-s.local.Done():
		s.end(s.local.Err())
	case <-s.done:
	case <-s.d.ended:
	}
}

func (s *Subscription) poke() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// Poll is as [dispatch.Subscription.Poll]: the next delivery of this node or another,
// each in its turn.
func (s *Subscription) Poll() (dispatch.Delivery, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = time.Now()
	if s.cause != nil {
		return dispatch.Delivery{}, false, s.cause
	}
	s.takeCancelledLocked()
	if len(s.cancelled) > 0 {
		return dispatch.Delivery{}, false, nil
	}
	s.localNext = !s.localNext
	if !s.localNext {
		if d, ok := s.nextLocked(); ok {
			return d, true, nil
		}
	}
	d, ok, err := s.local.Poll()
	switch {
	case errors.Is(err, dispatch.ErrDrained):
		if len(s.flights) > 0 {
			return dispatch.Delivery{}, false, nil
		}
		return d, false, err
	case ok || err != nil:
		return d, ok, err
	}
	if s.local.Waiting() {
		s.credits.hungers(s.credits.local)
		if d, ok, err := s.local.Poll(); ok || err != nil {
			return d, ok, err
		}
	}
	if d, ok := s.nextLocked(); ok {
		return d, true, nil
	}
	return dispatch.Delivery{}, false, nil
}

// nextLocked returns the next delivery that came from another node, or is of one that
// was lost.
func (s *Subscription) nextLocked() (dispatch.Delivery, bool) {
	if d, ok := s.lost.next(); ok {
		s.flights[d.ID()] = &flight{kind: d.Kind}
		return d, true
	}
	if len(s.ready) == 0 || s.ready[0].handover != nil {
		return dispatch.Delivery{}, false
	}
	d := s.shiftLocked()
	s.flights[d.ID()].unread = false
	if s.options.Lifecycle {
		d.from.read(d.Event)
	}
	return d.Delivery, true
}

// News is as [dispatch.Subscription.News].
func (s *Subscription) News() <-chan struct{} { return s.news }

// Cancelled is as [dispatch.Subscription.Cancelled].
func (s *Subscription) Cancelled() (dispatch.Cancelled, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeCancelledLocked()
	if len(s.cancelled) == 0 {
		return dispatch.Cancelled{}, false
	}
	c := s.cancelled[0]
	s.cancelled = s.cancelled[1:]
	return c, true
}

// takeCancelledLocked takes over what was taken back here: the place that it had in
// flight may be another node's by now, whose delivery is not to be told first.
func (s *Subscription) takeCancelledLocked() {
	for c, ok := s.local.Cancelled(); ok; c, ok = s.local.Cancelled() {
		s.cancelled = append(s.cancelled, c)
	}
}

// watch ends a consumer that reads nothing of what came from other nodes, and has what nobody
// needs handed out anew.
func (s *Subscription) watch() {
	s.mu.Lock()
	over, stalled := s.cause != nil, s.waitsLocked() && time.Since(s.read) >= s.d.opts.StallTimeout
	if !over && !stalled {
		s.credits.again()
		s.watchdog.Reset(s.d.opts.StallTimeout / 4)
	}
	s.mu.Unlock()
	if !over && stalled {
		s.d.mu.Lock()
		s.d.stalled++
		s.d.mu.Unlock()
		s.end(dispatch.ErrStalled)
	}
}

// Drain is as [dispatch.Subscription.Drain]. What has come from other nodes and was not
// read goes back.
func (s *Subscription) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || s.cause != nil {
		return
	}
	s.draining = true
	s.local.Drain()
	s.drainRemotesLocked()
	s.giveBackLocked()
	s.poke()
}

func (s *Subscription) drainRemotesLocked() {
	for _, r := range s.remotes {
		r.peer.post(&clusterv1.ConsumerMessage{Number: r.number, Body: &clusterv1.ConsumerMessage_Drain{Drain: &clusterv1.Drain{}}})
	}
}

// giveBackLocked gives back what was not read: it is in flight to nobody, and no
// suspect.
func (s *Subscription) giveBackLocked() {
	ready := s.ready
	s.ready = nil
	for _, d := range ready {
		if d.handover != nil {
			s.ready = append(s.ready, d)
			continue
		}
		delete(s.flights, d.ID())
		if release, ok := s.unreadEndLocked(&d); ok {
			s.ready = append(s.ready, release)
		}
		if d.from != nil {
			s.settleLocked(d.from, d.ID(), &clusterv1.Settle{Kind: clusterv1.Settle_UNREAD, Attempt: d.Attempt})
		}
	}
}

// Close ends the subscription. What was in flight is delivered to others.
func (s *Subscription) Close() { s.end(dispatch.ErrClosed) }

// Done is closed when the subscription has ended.
func (s *Subscription) Done() <-chan struct{} { return s.done }

// Err returns why the subscription has ended, nil while it lives.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// end ends the consumer everywhere; the first cause stays.
func (s *Subscription) end(cause error) {
	s.mu.Lock()
	if s.cause != nil {
		s.mu.Unlock()
		return
	}
	s.cause = cause
	close(s.done)
	s.watchdog.Stop()
	if len(s.ready) > 0 {
		s.drainRemotesLocked() // or what goes back would come again
		s.giveBackLocked()
	}
	for _, r := range s.remotes {
		s.d.numbers.Delete(r.number)
		r.peer.post(&clusterv1.ConsumerMessage{Number: r.number, Body: &clusterv1.ConsumerMessage_Close{Close: &clusterv1.Close{}}})
		if !r.there {
			close(r.subscribed)
		}
	}
	s.remotes = map[string]*remote{}
	lost := s.lost.take()
	s.ready, s.flights = nil, map[string]*flight{}
	s.poke()
	s.mu.Unlock()
	s.local.Close()
	s.d.left(s, lost)
}
