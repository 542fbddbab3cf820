package consumers

import (
	"slices"
	"time"

	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// lost are the ends of connections whose nodes are gone, to be told to one consumer.
// Subscription.mu guards them.
type lost struct {
	holder   *holder
	wake     func()
	limit    int // of what may be in flight
	waiting  []dispatch.Delivery
	inFlight map[string]dispatch.Delivery

	unassigned []sio.Connection // of the waiting: the consumer is to be told first that it owns them
}

// lower sets what may be in flight, and returns what is.
func (l *lost) lower(limit int) (inFlight int) {
	if l.limit = limit; len(l.waiting) > 0 {
		l.wake()
	}
	return len(l.inFlight)
}

// add makes an end for each connection that the group was told of, and returns their ids.
func (l *lost) add(owned map[string]connection) (ids []string) {
	now := time.Now()
	for id, c := range owned {
		if c.told {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		l.waiting = append(l.waiting, dispatch.Delivery{Attempt: 1, Event: &dispatch.Event{
			Kind: dispatch.Disconnected, Namespace: owned[id].namespace, ConnectionID: id, UserID: owned[id].user, Reason: dispatch.ReasonNodeLost, ReceivedAt: now,
		}})
	}
	return ids
}

// next returns the next end to deliver.
func (l *lost) next() (dispatch.Delivery, bool) {
	if len(l.inFlight) >= l.limit || len(l.unassigned) > 0 {
		return dispatch.Delivery{}, false
	}
	// A connection may be lost once more before its first end is settled.
	i := slices.IndexFunc(l.waiting, func(d dispatch.Delivery) bool { _, ok := l.inFlight[d.ID()]; return !ok })
	if i < 0 {
		return dispatch.Delivery{}, false
	}
	d := l.waiting[i]
	if i == 0 {
		l.waiting = l.waiting[1:]
	} else {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	if l.inFlight == nil {
		l.inFlight = map[string]dispatch.Delivery{}
	}
	l.inFlight[d.ID()] = d
	return d, true
}

// settled ends the flight of one; refused, it is delivered again, behind the others, and
// assigned again before.
func (l *lost) settled(id string, refused, assignments bool) {
	d, ok := l.inFlight[id]
	delete(l.inFlight, id)
	if ok && refused {
		d.Attempt++
		l.waiting = append(l.waiting, d)
		if assignments {
			l.assign(d)
		}
	}
}

// take returns all that were not settled.
func (l *lost) take() []dispatch.Delivery {
	all := l.waiting
	for _, d := range l.inFlight {
		d.Attempt++
		all = append(all, d)
	}
	l.waiting, l.inFlight = nil, nil
	return all
}

// over reports whether there are none.
func (l *lost) over() bool { return len(l.waiting)+len(l.inFlight) == 0 }

// left notes that a consumer has ended, and gives the ends that it did not settle to
// another of its group.
func (d *Dispatcher) left(s *Subscription, ends []dispatch.Delivery) {
	d.forget(name{s.options.Group, s.options.ConsumerID})
	d.mu.Lock()
	delete(d.homes, s.number)
	homes := d.homesLocked()
	d.mu.Unlock()
	if len(ends) == 0 {
		return
	}
	for _, o := range homes {
		if o.options.Group != s.options.Group || !o.options.Lifecycle {
			continue
		}
		theirs, others := split(ends, func(e dispatch.Delivery) bool { return o.local.Serves(e.Namespace) })
		if len(theirs) > 0 && o.takeOver(theirs) {
			ends = others
		}
		if len(ends) == 0 {
			return
		}
	}
	d.mu.Lock()
	d.lostDropped += uint64(len(ends))
	d.mu.Unlock()
	d.log.Warn("the ends of a lost node's connections were told to nobody", "group", s.options.Group, "connections", len(ends))
}

// split returns those of all that are wanted, and the others.
func split(all []dispatch.Delivery, wanted func(dispatch.Delivery) bool) (some, others []dispatch.Delivery) {
	for _, e := range all {
		if wanted(e) {
			some = append(some, e)
		} else {
			others = append(others, e)
		}
	}
	return some, others
}

func (s *Subscription) takeOver(ends []dispatch.Delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || s.draining {
		return false
	}
	s.lost.waiting = append(s.lost.waiting, ends...)
	s.goneLocked("", ends)
	s.credits.hungers(s.lost.holder)
	s.poke()
	return true
}
