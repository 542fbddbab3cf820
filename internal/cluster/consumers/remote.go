package consumers

import (
	"errors"
	"slices"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// delivery is one that waits to be read.
type delivery struct {
	dispatch.Delivery
	from *remote // nil: of a node that was lost
	// handover is what is to be told instead of a delivery; nil: it is a delivery.
	handover *handover
}

// flight is a delivery that is not settled.
type flight struct {
	from   *remote // nil: of a node that was lost
	kind   dispatch.Kind
	unread bool
	// refused: its node will say that it was taken back, and what with it.
	refused bool
	attempt uint32
}

// remote is the consumer's place at another node.
type remote struct {
	peer       *peer
	number     uint64
	holder     *holder
	subscribed chan struct{} // closed when the node has said so, or it is over
	there      bool
	owned      map[string]connection // that belong to the consumer, if it asks for the lifecycle
	assigned   map[string]bool       // that the consumer was told it owns, if it asks for assignments
}

// connection is one of another node's.
type connection struct {
	namespace, user string
	told            bool // the group has been told of it
}

// join makes the consumer a member at a peer, if it is none; nil: it has ended.
func (s *Subscription) join(p *peer) *remote {
	s.d.mu.Lock()
	s.d.number++
	number := s.d.number
	s.d.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || s.draining || s.remotes[p.epoch] != nil || p.isGone() {
		return nil
	}
	r := &remote{peer: p, number: number, subscribed: make(chan struct{}), owned: map[string]connection{}, assigned: map[string]bool{}}
	r.holder = &holder{raise: func(limit int) {
		p.post(&clusterv1.ConsumerMessage{Number: r.number, Body: &clusterv1.ConsumerMessage_Limit{Limit: &clusterv1.Limit{Limit: count(limit)}}})
	}, ask: func(keep int) {
		p.post(&clusterv1.ConsumerMessage{Number: r.number, Body: &clusterv1.ConsumerMessage_Limit{Limit: &clusterv1.Limit{Limit: count(keep), GiveBack: true}}})
	}}
	s.remotes[p.epoch] = r
	s.d.numbers.Store(number, s)
	s.credits.add(r.holder)
	p.post(&clusterv1.ConsumerMessage{Number: r.number, Body: &clusterv1.ConsumerMessage_Subscribe{
		Subscribe: fromOptions(&s.options, r.holder.limit, s.since),
	}})
	return r
}

// leave notes that the consumer is no member at a peer any more, nor has what came from
// there. lost: the peer is gone; then it returns whose ends the consumer is to be told.
func (s *Subscription) leave(p *peer, lost bool) (ends []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.remotes[p.epoch]; r != nil && r.peer == p {
		s.leaveLocked(r, false)
	}
	if !lost {
		return nil
	}
	owned := s.away[p.epoch]
	delete(s.away, p.epoch)
	waiting := len(s.lost.waiting)
	if s.options.Lifecycle && s.cause == nil && len(owned) > 0 {
		ends = s.lost.add(owned)
		s.credits.hungers(s.lost.holder)
		s.poke()
	}
	if s.cause == nil {
		s.goneLocked(p.epoch, s.lost.waiting[waiting:])
	}
	return ends
}

func (s *Subscription) leaveLocked(r *remote, over bool) {
	delete(s.remotes, r.peer.epoch)
	s.d.numbers.Delete(r.number)
	if r.there {
		s.away[r.peer.epoch] = r.owned
		s.awayLocked(r, over)
	} else {
		close(r.subscribed)
	}
	s.ready = slices.DeleteFunc(s.ready, func(d delivery) bool { return d.from == r })
	var taken []string
	for id, f := range s.flights {
		if f.from != r {
			continue
		}
		delete(s.flights, id)
		if !f.unread {
			taken = append(taken, id)
		}
	}
	if len(taken) > 0 {
		slices.Sort(taken)
		s.cancelled = append(s.cancelled, dispatch.Cancelled{IDs: taken, Reason: dispatch.NodeAway})
	}
	s.credits.remove(r.holder)
	s.poke()
}

// take takes a message of a holder's.
func (s *Subscription) take(p *peer, m *clusterv1.ConsumerMessage) {
	if err := s.takeMessage(p, m); err != nil {
		s.end(err)
	}
}

// takeMessage is take; its error ends the consumer everywhere.
func (s *Subscription) takeMessage(p *peer, m *clusterv1.ConsumerMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.remotes[p.epoch]
	if r == nil || r.number != m.GetNumber() || s.cause != nil {
		return nil
	}
	switch body := m.GetBody().(type) {
	case *clusterv1.ConsumerMessage_Subscribed:
		if !r.there {
			r.there = true
			close(r.subscribed)
			delete(s.away, p.epoch) // the node says anew what belongs to it
			s.backLocked(p.epoch)
		}
	case *clusterv1.ConsumerMessage_Deliver:
		return s.deliverLocked(r, body.Deliver)
	case *clusterv1.ConsumerMessage_Cancelled:
		s.cancelledLocked(r, body.Cancelled)
	case *clusterv1.ConsumerMessage_Ownership:
		return s.handoverLocked(r, body.Ownership)
	case *clusterv1.ConsumerMessage_Hungry:
		s.credits.hungers(r.holder)
	case *clusterv1.ConsumerMessage_Limited:
		s.credits.gaveBack(r.holder, int(body.Limited.GetLimit()))
	case *clusterv1.ConsumerMessage_Assigned:
		for _, a := range body.Assigned.GetConnections() {
			r.assign(a)
		}
	case *clusterv1.ConsumerMessage_Ended:
		cause := toCause(body.Ended)
		s.leaveLocked(r, !errors.Is(cause, dispatch.ErrInterrupted))
		if errors.Is(cause, dispatch.ErrInterrupted) {
			s.d.running.Go(func() { s.join(p) })
			return nil
		}
		if !errors.Is(cause, dispatch.ErrClosed) {
			return cause
		}
	}
	return nil
}

func (r *remote) assign(a *clusterv1.Assigned_Assignment) {
	if !a.GetOwned() {
		delete(r.owned, a.GetId())
		return
	}
	c := r.owned[a.GetId()]
	c.namespace, c.told = a.GetNamespace(), c.told || a.GetTold()
	r.owned[a.GetId()] = c
}

// deliverLocked has a delivery wait to be read.
func (s *Subscription) deliverLocked(r *remote, m *clusterv1.Deliver) error {
	e, err := toEvent(m.GetEvent())
	if err != nil {
		return err
	}
	d := delivery{Delivery: dispatch.Delivery{Event: e, Attempt: m.GetAttempt()}, from: r}
	if s.draining {
		s.settleLocked(r, d.ID(), &clusterv1.Settle{Kind: clusterv1.Settle_UNREAD, Attempt: d.Attempt})
		if release, ok := s.unreadEndLocked(&d); ok {
			s.ready = append(s.ready, release)
			s.poke()
		}
		return nil
	}
	if !s.waitsLocked() {
		s.read = time.Now()
	}
	s.ready = append(s.ready, d)
	s.flights[d.ID()] = &flight{from: r, kind: e.Kind, unread: true, attempt: d.Attempt}
	s.poke()
	return nil
}

// shiftLocked takes the first of ready.
func (s *Subscription) shiftLocked() delivery {
	d := s.ready[0]
	s.ready[0] = delivery{}
	if s.ready = s.ready[1:]; len(s.ready) == 0 {
		s.ready = nil
	}
	return d
}

// waitsLocked reports whether a delivery of another node waits to be read.
func (s *Subscription) waitsLocked() bool {
	return slices.ContainsFunc(s.ready, func(d delivery) bool { return d.handover == nil })
}

// cancelledLocked takes deliveries back: those that were not read are as if they had
// never come.
func (s *Subscription) cancelledLocked(r *remote, m *clusterv1.Cancelled) {
	var taken []string
	for _, id := range m.GetDeliveryIds() {
		f := s.flights[id]
		if f == nil || f.from != r {
			continue
		}
		delete(s.flights, id)
		if f.unread {
			i := slices.IndexFunc(s.ready, func(d delivery) bool { return d.handover == nil && d.ID() == id })
			if i >= 0 {
				if release, ok := s.unreadEndLocked(&s.ready[i]); ok {
					s.ready[i] = release
				} else {
					s.ready = slices.Delete(s.ready, i, i+1)
				}
			}
		} else {
			taken = append(taken, id)
		}
	}
	if len(taken) > 0 {
		s.cancelled = append(s.cancelled, dispatch.Cancelled{IDs: taken, Reason: dispatch.CancelReason(m.GetReason())})
	}
	s.poke()
}

// read notes what the consumer, which asks for the lifecycle, knows of a connection from
// now on.
func (r *remote) read(e *dispatch.Event) {
	if e.Kind == dispatch.Disconnected && !e.Replayed() {
		delete(r.assigned, e.ConnectionID)
	}
	switch c, owned := r.owned[e.ConnectionID]; {
	case e.Kind == dispatch.Disconnected, e.Kind == dispatch.RecoveryExpired:
		delete(r.owned, e.ConnectionID)
	case e.Kind == dispatch.Connected, owned:
		c.namespace, c.user, c.told = e.Namespace, e.UserID, c.told || e.Kind == dispatch.Connected
		r.owned[e.ConnectionID] = c
	}
}

// readConnection notes whose a connection is, as the consumer is told by what it owns.
func (r *remote) readConnection(v *sio.Connection) {
	if c, owned := r.owned[v.ID]; owned {
		c.user = v.UserID
		r.owned[v.ID] = c
	}
}
