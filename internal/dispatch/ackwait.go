package dispatch

import (
	"slices"
	"time"
)

// CancelReason says why deliveries were taken back.
type CancelReason int

// The reasons.
const (
	ClientLeft  CancelReason = iota + 1 // of a Connecting: there is nothing to decide any more
	AckWaitOver                         // they, or one before them, were not settled in time
	GivenBack                           // the consumer itself refused them, or one before them
	NodeAway                            // their connections' node cannot be reached: others may get them
)

// Cancelled are deliveries that are in flight to a subscription no longer.
type Cancelled struct {
	IDs    []string
	Reason CancelReason
}

// ackWaits are the queues with a delivery in flight to one subscription, in the
// order in which the wait for their oldest one began. All wait for equally long, so
// one timer, for the first, serves all of them. The zero value is empty.
type ackWaits struct {
	first, last *queue
	timer       *time.Timer
	armed       bool
}

func (a *ackWaits) add(q *queue) {
	q.waitPrev, q.waitNext = a.last, nil
	if a.last == nil {
		a.first = q
	} else {
		a.last.waitNext = q
	}
	a.last = q
}

func (a *ackWaits) remove(q *queue) {
	if q.waitPrev == nil {
		a.first = q.waitNext
	} else {
		q.waitPrev.waitNext = q.waitNext
	}
	if q.waitNext == nil {
		a.last = q.waitPrev
	} else {
		q.waitNext.waitPrev = q.waitPrev
	}
	q.waitPrev, q.waitNext = nil, nil
}

// awaitAckLocked starts the wait for the oldest delivery in flight anew, or ends it
// if there is none. A Connecting has a time limit of its own.
func (q *queue) awaitAckLocked() {
	if q.awaitsAck {
		q.owner.acks.remove(q)
		q.awaitsAck = false
	}
	if q.sent == 0 || q.items[0].event.Kind == Connecting {
		return
	}
	s := q.owner
	q.awaitsAck, q.ackWaitSince = true, time.Now()
	s.acks.add(q)
	if !s.acks.armed {
		s.acks.arm(s.options.AckWait, s.ackWaitPassed)
	}
}

func (a *ackWaits) arm(d time.Duration, f func()) {
	a.armed = true
	if a.timer == nil {
		a.timer = time.AfterFunc(d, f)
	} else {
		a.timer.Reset(d)
	}
}

// ackWaitPassed is the timer: it takes back what was not settled in time.
func (s *Subscription) ackWaitPassed() {
	g := s.group
	defer g.settleDown()
	g.mu.Lock()
	defer g.mu.Unlock()
	s.acks.armed = false
	if s.cause != nil {
		return
	}
	now := time.Now()
	for q := s.acks.first; q != nil; q = s.acks.first {
		if left := s.options.AckWait - now.Sub(q.ackWaitSince); left > 0 {
			s.acks.arm(left, s.ackWaitPassed)
			return
		}
		s.takeBackLocked(q)
	}
}

// takeBackLocked moves a queue whose oldest delivery was not settled in time, in
// order, to another subscription, or to the same one if there is no other. It counts
// as late for as long as a delivery may take: meanwhile others come first.
func (s *Subscription) takeBackLocked(q *queue) {
	g := s.group
	g.dispatcher.ackWaits.Add(1)
	q.stuck = true
	s.lateUntil = time.Now().Add(s.options.AckWait)
	s.cancelLocked(AckWaitOver, q.items[:q.sent])
	q.items[0].strike(AckWait)
	g.takenBackLocked(q.rewindLocked(0))
	q.buryLocked()
	g.reassignLocked(&s.load, q)
	q.closeIfDoneLocked()
	s.wake()
}

// cancelLocked has the consumer told that those of the items that are not settled
// were taken back.
func (s *Subscription) cancelLocked(reason CancelReason, items []item) {
	c := Cancelled{Reason: reason}
	for _, it := range items {
		if !it.acked {
			c.IDs = append(c.IDs, it.event.ID())
		}
	}
	if len(c.IDs) > 0 {
		s.cancelled = append(s.cancelled, c) // no more than were in flight: nothing is delivered before it is told
		s.wake()
	}
}

// Cancelled returns the next deliveries that were taken back, false if there are
// none. As long as there are, Poll has nothing: so the consumer hears of an end
// before the next attempt.
func (s *Subscription) Cancelled() (Cancelled, bool) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	if len(s.cancelled) == 0 {
		return Cancelled{}, false
	}
	c := s.cancelled[0]
	s.cancelled = s.cancelled[1:]
	return c, true
}

// Working starts the wait for the settlement of a delivery's connection anew.
func (s *Subscription) Working(id string) error {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	q, _, err := s.inFlightLocked(id)
	if err != nil {
		return err
	}
	q.awaitAckLocked()
	return nil
}

// cancelConnectingLocked takes the question that is not decided on out of the queue, if
// there is one: its connection has left, or the consumer cannot hold it. What replays a
// dead letter may stand behind it.
func (q *queue) cancelConnectingLocked() {
	i := slices.IndexFunc(q.items, func(it item) bool { return it.event.Kind == Connecting && !it.acked })
	if i < 0 {
		return
	}
	it := q.items[i]
	close(it.event.verdict) // nobody waits for it
	if q.phase == ready {
		q.enterLocked(idle) // its place depends on what is next
	}
	if i < q.sent {
		q.owner.cancelLocked(ClientLeft, q.items[i:i+1])
		q.landLocked(&it)
		q.sent--
	}
	q.items = slices.Delete(q.items, i, i+1)
	q.countLocked(-1, -it.event.size)
	q.removeSettledLocked()
	if i == 0 {
		q.awaitAckLocked()
	}
	q.advanceLocked()
	if q.phase == unowned {
		q.group.reassignLocked(q.loadLocked(), q) // what was behind it may have an owner
	} else {
		q.moveLocked()
	}
	q.relieveLocked()
	if q.owner != nil {
		q.owner.wake()
	}
}
