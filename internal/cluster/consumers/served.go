package consumers

import (
	"errors"
	"sync"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// served is a consumer of another node, a member of its group here.
type served struct {
	peer         *peer
	number       uint64
	name         name
	subscription *dispatch.Subscription
	lifecycle    bool
	include      bool
	view         dispatch.View
	wake         chan struct{} // holds one; the subscription's News too

	mu       sync.Mutex
	limit    int
	giveBack bool // the home wants to know what is not needed
	keep     int  // of the limit, if more waits
	hungry   bool // the home knows
	bytes    int  // delivered and not settled

	unreadHandover int // bytes that were told and not read
	flights        map[string]relayed
	closeWith      error // why the home has ended it
}

// relayed is a delivery that the home has and did not settle, as far as is known here.
type relayed struct {
	size    int
	attempt uint32
}

// maxUnsettledBytes bounds what is delivered to one consumer of another node and not
// settled; one event more is always possible.
const maxUnsettledBytes = 16 << 20

// serve makes a consumer of a peer a member here.
func (d *Dispatcher) serve(p *peer, number uint64, m *clusterv1.Subscribe) {
	s := &served{
		peer: p, number: number, name: name{m.GetGroup(), m.GetConsumerId()}, lifecycle: m.GetLifecycle(), include: m.GetIncludeConnection(), view: dispatch.View(m.GetView()),
		wake: make(chan struct{}, 1), limit: int(m.GetLimit()), flights: map[string]relayed{},
	}
	joins := joining{m.GetSince(), p.epoch}
	former, newer := d.joinings.newer(s.name, joins)
	if !newer {
		p.tellOver(s.message(&clusterv1.ConsumerMessage_Ended{Ended: fromCause(dispatch.ErrReplaced)}))
		return
	}
	for _, old := range p.servedBy(s.name) { // its home has given it up, and nothing that it has is at fault
		old.subscription.Interrupt()
	}
	o := toOptions(m)
	o.News = s.wake
	var err error
	if s.subscription, err = d.local.Subscribe(o); err != nil {
		d.joinsNot(s.name, joins, former)
		p.tellOver(s.message(&clusterv1.ConsumerMessage_Ended{Ended: fromCause(err)}))
		return
	}
	s.subscription.Limit(s.limit)
	p.joins(number, m)
	p.mu.Lock()
	p.served[number] = s
	p.mu.Unlock()
	d.running.Go(s.run)
}

// servedBy returns the subscriptions of one of its consumers.
func (p *peer) servedBy(n name) (all []*served) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.served {
		if s.name == n {
			all = append(all, s)
		}
	}
	return all
}

// message is one of the subscription's.
func (s *served) message(body any) *clusterv1.ConsumerMessage {
	m := &clusterv1.ConsumerMessage{Number: s.number}
	switch b := body.(type) {
	case *clusterv1.ConsumerMessage_Ended:
		m.Body = b
	case *clusterv1.ConsumerMessage_Subscribed:
		m.Body = b
	case *clusterv1.ConsumerMessage_Deliver:
		m.Body = b
	case *clusterv1.ConsumerMessage_Cancelled:
		m.Body = b
	case *clusterv1.ConsumerMessage_Hungry:
		m.Body = b
	case *clusterv1.ConsumerMessage_Limited:
		m.Body = b
	case *clusterv1.ConsumerMessage_Assigned:
		m.Body = b
	case *clusterv1.ConsumerMessage_Ownership:
		m.Body = b
	}
	return m
}

// run sends to the home what there is, until the subscription ends; then it has the
// home told, whenever that is possible, so that it knows.
func (s *served) run() {
	p := s.peer
	cause := s.relay()
	s.subscription.Interrupt() // if it has not ended
	p.mu.Lock()
	delete(p.served, s.number)
	p.mu.Unlock()
	p.d.forget(s.name)
	if !errors.Is(cause, dispatch.ErrInterrupted) {
		p.joinsNoMore(s.number)
	}
	if s.over() == nil { // else the home has ended it
		p.tellOver(s.message(&clusterv1.ConsumerMessage_Ended{Ended: fromCause(cause)}))
	}
}

func (s *served) over() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeWith
}

// relay sends what there is, and returns why the subscription is over.
func (s *served) relay() error {
	if err := s.send(&clusterv1.ConsumerMessage_Subscribed{Subscribed: &clusterv1.Subscribed{}}); err != nil {
		return err
	}
	for {
		more, err := s.relayOnce()
		if err != nil {
			return err
		}
		if more {
			continue
		}
		select {
		case <-s.wake:
		case <-s.subscription.Done():
			return s.subscription.Err()
		case <-s.peer.gone:
			return dispatch.ErrInterrupted
		}
	}
}

// relayOnce sends the next thing there is, and reports whether there may be more.
func (s *served) relayOnce() (more bool, err error) {
	if err := s.tellAssignments(); err != nil {
		return false, err
	}
	limit, asked := s.givenBack()
	// What was taken back goes before the limit that it made lower: others will have its
	// place.
	if err := s.tellCancelled(); err != nil {
		return false, err
	}
	if asked {
		if err := s.send(&clusterv1.ConsumerMessage_Limited{Limited: &clusterv1.Limited{Limit: count(limit)}}); err != nil {
			return false, err
		}
	}
	told, err := s.handOver()
	if err != nil || s.full() {
		return told, err
	}
	d, ok, err := s.subscription.Poll()
	if err != nil {
		return false, err
	}
	if ok {
		return true, s.deliver(&d)
	}
	if told {
		return true, nil
	}
	if s.hungers() {
		return false, s.send(&clusterv1.ConsumerMessage_Hungry{Hungry: &clusterv1.Hungry{}})
	}
	return false, nil
}

// tellCancelled tells the home what was taken back.
func (s *served) tellCancelled() error {
	for c, ok := s.subscription.Cancelled(); ok; c, ok = s.subscription.Cancelled() {
		s.settled(c.IDs...)
		err := s.send(&clusterv1.ConsumerMessage_Cancelled{Cancelled: &clusterv1.Cancelled{DeliveryIds: c.IDs, Reason: int32(c.Reason)}}) //nolint:gosec // an enum
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *served) deliver(d *dispatch.Delivery) error {
	e, err := fromEvent(d.Event, s.include, s.view)
	if err != nil { // data that is no JSON, which nobody was let in with
		s.peer.d.log.Error("an event cannot be told to another node", "group", s.name.group, "error", err)
		return s.subscription.BuryTooLarge(d.ID())
	}
	s.mu.Lock()
	size := sizeOf(e)
	s.flights[d.ID()] = relayed{size, d.Attempt}
	s.bytes += size
	s.mu.Unlock()
	return s.send(&clusterv1.ConsumerMessage_Deliver{Deliver: &clusterv1.Deliver{Event: e, Attempt: d.Attempt}})
}

// send sends to the home; its error ends the subscription.
func (s *served) send(body any) error {
	if s.peer.d.links.SendConsumer(s.peer.epoch, s.message(body)) != nil {
		return dispatch.ErrInterrupted
	}
	return nil
}

// settled makes room for others.
func (s *served) settled(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.bytes -= s.flights[id].size
		delete(s.flights, id)
	}
}

func (s *served) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes >= maxUnsettledBytes
}

// hungers reports whether more waits than the limit lets through and the home is to
// know.
func (s *served) hungers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hungry || !s.subscription.Waiting() {
		return false
	}
	s.hungry = true
	return true
}

// askBack notes that the home wants what is not needed, but for so much.
func (s *served) askBack(keep int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.giveBack, s.keep = true, keep
}

// givenBack lowers the limit to what is needed, if the home has asked for that, and
// returns it.
func (s *served) givenBack() (limit int, asked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.giveBack {
		return 0, false
	}
	s.giveBack = false
	keep := 0
	if s.subscription.Waiting() {
		keep = min(s.keep, s.limit)
	}
	s.limit = max(keep, s.subscription.Limit(keep))
	s.subscription.Limit(s.limit)
	return s.limit, true
}

// take takes a message of the home's.
func (s *served) take(m *clusterv1.ConsumerMessage) {
	switch body := m.GetBody().(type) {
	case *clusterv1.ConsumerMessage_Limit:
		s.mu.Lock()
		if l := body.Limit; l.GetGiveBack() {
			s.giveBack, s.keep = true, int(l.GetLimit())
		} else {
			s.limit, s.hungry = int(l.GetLimit()), false
			s.subscription.Limit(s.limit)
		}
		s.mu.Unlock()
	case *clusterv1.ConsumerMessage_Settle:
		s.settle(body.Settle)
	case *clusterv1.ConsumerMessage_OwnershipRead:
		s.handoverRead(int(body.OwnershipRead.GetBytes()))
	case *clusterv1.ConsumerMessage_Drain:
		s.subscription.Drain()
	case *clusterv1.ConsumerMessage_Close:
		s.mu.Lock()
		s.closeWith = dispatch.ErrClosed
		s.mu.Unlock()
		s.subscription.Close()
	}
	s.poke()
}

func (s *served) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// settle settles a delivery. One that was taken back meanwhile, the home knows or is
// about to.
func (s *served) settle(m *clusterv1.Settle) {
	id := m.GetDeliveryId()
	if keep := m.GetGiveBack(); keep > 0 {
		s.subscription.Limit(int(keep) - 1) // first, or another delivery would take the place of this one
		defer s.askBack(int(keep) - 1)
	}
	if !s.has(id, m.GetAttempt()) {
		return
	}
	var err error
	switch m.GetKind() {
	case clusterv1.Settle_ACK:
		err = s.subscription.Ack(id)
	case clusterv1.Settle_NACK:
		err = s.subscription.Nack(id, time.Duration(m.GetDelay()))
	case clusterv1.Settle_POSTPONE:
		err = s.subscription.Postpone(id, time.Duration(m.GetDelay()))
	case clusterv1.Settle_BURY:
		err = s.subscription.Bury(id)
	case clusterv1.Settle_WORKING:
		err = s.subscription.Working(id)
	case clusterv1.Settle_TOO_LARGE:
		err = s.subscription.BuryTooLarge(id)
	case clusterv1.Settle_UNREAD:
		s.subscription.Unread(id)
	case clusterv1.Settle_VERDICT:
		var v dispatch.Verdict
		if v, err = toVerdict(m.GetVerdict()); err == nil {
			err = s.subscription.Verdict(id, v)
		}
	}
	if err != nil && !errors.Is(err, dispatch.ErrNotInFlight) {
		s.peer.d.log.Error("a delivery is not settled as another node says", "node", s.peer.name, "group", s.name.group, "error", err)
	}
	if m.GetKind() == clusterv1.Settle_WORKING || givesBack(m) {
		return // which is answered by Cancelled
	}
	s.settled(id)
}

// has reports whether the home has this attempt of the delivery, as far as is known here.
func (s *served) has(id string, attempt uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.flights[id]
	return ok && f.attempt == attempt
}
