package dispatch

import (
	"errors"
	"time"
)

var (
	// ErrNotInFlight: the subscription has no such delivery to settle; it may have
	// gone to another.
	ErrNotInFlight = errors.New("no such delivery is in flight to this consumer")
	// ErrNoVerdict: a Connecting is settled by a verdict, and nothing else is.
	ErrNoVerdict = errors.New("a CONNECTING delivery takes a verdict, and no other delivery does")
)

// Verdict is a consumer's decision on a Connecting.
type Verdict struct {
	Allow bool
	// Of a refusal: what the client's connect_error handler gets.
	Message string
	Data    []byte // JSON, nil for none
	Retry   bool   // it may pass: the client is to come back
	// Of an allowance; see sio.Admission, and admission.Merge for what becomes of
	// what was granted before.
	User      string
	Rooms     []string
	UserData  map[string]any
	ExpiresAt time.Time
}

// Ack settles a delivery: it was handled.
func (s *Subscription) Ack(id string) error {
	f, err := s.ack(id)
	s.traceDelivery(f, "acknowledged")
	return err
}

func (s *Subscription) ack(id string) (*tracedDelivery, error) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	q, i, err := s.inFlightLocked(id)
	if err != nil {
		return nil, err
	}
	if q.items[i].event.Kind == Connecting {
		return nil, ErrNoVerdict
	}
	f := q.deliveryLocked(&q.items[i])
	s.settleLocked(q, i)
	return f, nil
}

// Verdict settles a Connecting.
func (s *Subscription) Verdict(id string, v Verdict) error {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	q, i, err := s.inFlightLocked(id)
	if err != nil {
		return err
	}
	e := q.items[i].event
	if e.Kind != Connecting {
		return ErrNoVerdict
	}
	e.verdict <- v // holds one, and this is the only settlement
	s.settleLocked(q, i)
	return nil
}

// Nack refuses a delivery: it and what follows it from the same connection is
// delivered again, in order, after the delay; 0 means a pause that grows with each
// refusal. An event that has failed too often becomes a dead letter. What was in
// flight of all that is cancelled first.
func (s *Subscription) Nack(id string, delay time.Duration) error {
	defer s.group.settleDown()
	f, err := s.nack(id, delay)
	s.traceDelivery(f, "refused")
	return err
}

func (s *Subscription) nack(id string, delay time.Duration) (*tracedDelivery, error) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	q, i, err := s.inFlightLocked(id)
	if err != nil {
		return nil, err
	}
	it := &q.items[i]
	f := q.deliveryLocked(it)
	it.refusals++
	it.strike(Nacked)
	if delay == 0 {
		delay = 50 * time.Millisecond << min(it.refusals, 8) // 100 ms to 12.8 s
	}
	s.cancelLocked(GivenBack, q.items[i:q.sent]) // so that it knows which it has in vain
	q.rewindLocked(i)
	q.items[i].suspect = 0 // the consumer that nacks it has survived it
	events := len(q.items)
	q.buryLocked()
	if len(q.items) == events { // what followed a dead letter need not wait
		q.pauseLocked(delay)
	}
	q.advanceLocked()
	s.settledLocked(q)
	return f, nil
}

// Postpone gives a delivery back since the consumer can handle nothing for now: as by
// Nack it comes again, in order, after the delay, but it is not the event that has failed.
// Until something is settled the consumer counts as one that is late: other consumers of
// its group come first, and where another group serves a connection, that is not held up
// for this one.
func (s *Subscription) Postpone(id string, delay time.Duration) error {
	defer s.group.settleDown()
	f, err := s.postpone(id, delay)
	s.traceDelivery(f, "postponed")
	return err
}

func (s *Subscription) postpone(id string, delay time.Duration) (*tracedDelivery, error) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	q, i, err := s.inFlightLocked(id)
	if err != nil {
		return nil, err
	}
	f := q.deliveryLocked(&q.items[i])
	s.cancelLocked(GivenBack, q.items[i:q.sent])
	q.rewindLocked(i)
	q.items[i].suspect = 0
	q.stuck = true
	s.lateUntil = time.Now().Add(s.options.AckWait)
	q.pauseLocked(max(delay, minPause))
	s.watchdog.progressed()
	s.wake()
	if q.sent == 0 {
		s.group.reassignLocked(&s.load, q)
	} else {
		q.relieveLocked()
	}
	return f, nil
}

// minPause is how long a queue pauses at least for a consumer that can handle nothing.
const minPause = 100 * time.Millisecond

// BuryTooLarge makes a dead letter of a delivery that the consumer's messages cannot
// hold. What follows it from the same connection is delivered again, in order; what was
// in flight of that is cancelled first. A Connecting is not decided on.
func (s *Subscription) BuryTooLarge(id string) error { return s.bury(id, TooLarge) }

// Bury makes a dead letter of a delivery that the consumer will never handle, as
// BuryTooLarge does.
func (s *Subscription) Bury(id string) error { return s.bury(id, Nacked) }

func (s *Subscription) bury(id string, why DeathReason) error {
	defer s.group.settleDown()
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	q, i, err := s.inFlightLocked(id)
	if err != nil {
		return err
	}
	if q.items[i].event.Kind == Connecting {
		q.cancelConnectingLocked()
	} else {
		s.cancelLocked(GivenBack, q.items[i+1:q.sent])
		q.rewindLocked(i)
		q.buryItemLocked(i, why)
		q.advanceLocked()
	}
	s.settledLocked(q)
	return nil
}

// inFlightLocked finds a delivery that is in flight to the subscription.
func (s *Subscription) inFlightLocked(id string) (*queue, int, error) {
	e, ok := parseID(id)
	if q := s.group.queues[e.connection]; ok && q != nil && q.owner == s {
		if i := q.findLocked(e); i >= 0 {
			return q, i, nil
		}
	}
	return nil, 0, ErrNotInFlight
}

// settleLocked ends a delivery that was handled, or given up.
func (s *Subscription) settleLocked(q *queue, i int) {
	q.ackLocked(i)
	q.advanceLocked()
	s.settledLocked(q)
}

// settledLocked does what follows once something of q is not in flight any more.
func (s *Subscription) settledLocked(q *queue) {
	s.settled = true
	q.stuck, q.settledMeanwhile = false, true
	s.lateUntil = time.Time{}
	s.watchdog.progressed()
	s.wake()
	q.relieveLocked()
	q.closeIfDoneLocked()
	q.moveLocked()
}
