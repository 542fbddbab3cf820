package consumers

import (
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// Deliveries of other nodes are settled by a message to them; whether they are in flight
// is known here.

// flightLocked returns a delivery that the consumer has from elsewhere; nil: it is one of
// this node's, or none.
func (s *Subscription) flightLocked(id string) *flight {
	if f := s.flights[id]; f != nil && !f.unread && !f.refused {
		return f
	}
	return nil
}

// settle settles a delivery as settlement says, or has local do it.
func (s *Subscription) settle(id string, verdict bool, settlement *clusterv1.Settle, local func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = time.Now()
	f := s.flightLocked(id)
	if f == nil {
		err := local()
		if err == nil && settlement.GetKind() != clusterv1.Settle_WORKING {
			s.credits.settled(s.credits.local)
		}
		return err
	}
	if verdict != (f.kind == dispatch.Connecting) && (settlement.GetKind() == clusterv1.Settle_ACK || verdict) {
		return dispatch.ErrNoVerdict
	}
	settlement.Attempt = f.attempt
	if settlement.GetKind() == clusterv1.Settle_WORKING {
		if f.from != nil {
			s.settleLocked(f.from, id, settlement)
		}
		return nil
	}
	if f.from != nil && givesBack(settlement) {
		f.refused = true
		s.settleLocked(f.from, id, settlement)
		return nil
	}
	delete(s.flights, id)
	if f.from == nil {
		s.lost.settled(id, givesBack(settlement), s.options.Assignments)
		s.credits.settled(s.lost.holder)
		if s.lost.over() {
			s.credits.gaveBack(s.lost.holder, 0)
		} else {
			s.credits.hungers(s.lost.holder)
		}
		s.poke()
		return nil
	}
	if s.credits.settled(f.from.holder) {
		settlement.GiveBack = count(f.from.holder.limit)
	}
	s.settleLocked(f.from, id, settlement)
	s.poke()
	return nil
}

// givesBack reports whether the delivery comes again: the holder says when it has it back.
func givesBack(m *clusterv1.Settle) bool {
	return m.GetKind() == clusterv1.Settle_NACK || m.GetKind() == clusterv1.Settle_POSTPONE
}

// settleLocked tells a holder.
func (s *Subscription) settleLocked(r *remote, id string, settlement *clusterv1.Settle) {
	settlement.DeliveryId = id
	r.peer.post(&clusterv1.ConsumerMessage{Number: r.number, Body: &clusterv1.ConsumerMessage_Settle{Settle: settlement}})
}

// Ack is as [dispatch.Subscription.Ack].
func (s *Subscription) Ack(id string) error {
	return s.settle(id, false, &clusterv1.Settle{Kind: clusterv1.Settle_ACK}, func() error { return s.local.Ack(id) })
}

// Nack is as [dispatch.Subscription.Nack].
func (s *Subscription) Nack(id string, delay time.Duration) error {
	return s.settle(id, false, &clusterv1.Settle{Kind: clusterv1.Settle_NACK, Delay: int64(delay)}, func() error { return s.local.Nack(id, delay) })
}

// Postpone is as [dispatch.Subscription.Postpone].
func (s *Subscription) Postpone(id string, delay time.Duration) error {
	return s.settle(id, false, &clusterv1.Settle{Kind: clusterv1.Settle_POSTPONE, Delay: int64(delay)}, func() error { return s.local.Postpone(id, delay) })
}

// Bury is as [dispatch.Subscription.Bury].
func (s *Subscription) Bury(id string) error {
	return s.settle(id, false, &clusterv1.Settle{Kind: clusterv1.Settle_BURY}, func() error { return s.local.Bury(id) })
}

// Working is as [dispatch.Subscription.Working].
func (s *Subscription) Working(id string) error {
	return s.settle(id, false, &clusterv1.Settle{Kind: clusterv1.Settle_WORKING}, func() error { return s.local.Working(id) })
}

// BuryTooLarge is as [dispatch.Subscription.BuryTooLarge].
func (s *Subscription) BuryTooLarge(id string) error {
	return s.settle(id, false, &clusterv1.Settle{Kind: clusterv1.Settle_TOO_LARGE}, func() error { return s.local.BuryTooLarge(id) })
}

// Verdict is as [dispatch.Subscription.Verdict].
func (s *Subscription) Verdict(id string, v dispatch.Verdict) error {
	m, err := fromVerdict(&v)
	if err != nil {
		return err
	}
	return s.settle(id, true, &clusterv1.Settle{Kind: clusterv1.Settle_VERDICT, Verdict: m}, func() error { return s.local.Verdict(id, v) })
}
