package consumers

import (
	"slices"
	"time"

	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// lost are the ends of connections whose nodes are gone, to be told to one consumer.
// Subscription.mu guards them.
type lost struct {
	holder   *holder
	wake     func()
	limit    int // of what may be in flight
	waiting  []dispatch.Delivery
	inFlight map[string]dispatch.Delivery
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
	if len(l.inFlight) >= l.limit {
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

// settled ends the flight of one; refused, it is delivered again, behind the others.
func (l *lost) settled(id string, refused bool) {
	d, ok := l.inFlight[id]
	delete(l.inFlight, id)
	if ok && refused {
		d.Attempt++
		l.waiting = append(l.waiting, d)
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
