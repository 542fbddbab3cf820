package dispatch

import (
	"slices"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// owned are the queues of one subscription, in no particular order. The zero value is empty.
type owned struct {
	first *queue
	count int
}

func (o *owned) add(q *queue) {
	q.ownedPrev, q.ownedNext = nil, o.first
	if o.first != nil {
		o.first.ownedPrev = q
	}
	o.first = q
	o.count++
}

func (o *owned) remove(q *queue) {
	if q.ownedPrev == nil {
		o.first = q.ownedNext
	} else {
		q.ownedPrev.ownedNext = q.ownedNext
	}
	if q.ownedNext != nil {
		q.ownedNext.ownedPrev = q.ownedPrev
	}
	q.ownedPrev, q.ownedNext = nil, nil
	o.count--
}

var _ sio.Owners = (*Dispatcher)(nil)

// Owned implements [sio.Owners]: a connection is its owner's in a group from when it has been a
// member of its namespace, and the group has something of it or a subscription with
// Assignments serves the namespace, until its end.
func (d *Dispatcher) Owned(namespace string, o sio.Owner) (ids []string) {
	d.ofOwner(o, func(s *Subscription) {
		for q := s.owned.first; q != nil; q = q.ownedNext {
			if q.namespace == namespace && q.client != nil {
				ids = append(ids, q.id)
			}
		}
	})
	return ids
}

// OwnedOf implements [sio.Owners].
func (d *Dispatcher) OwnedOf(ids []string, o sio.Owner) (theirs []string) {
	d.ofOwner(o, func(s *Subscription) {
		theirs = slices.DeleteFunc(ids, func(id string) bool {
			q := s.group.queues[id]
			return q == nil || q.owner != s || q.client == nil
		})
	})
	return theirs
}

// ofOwner calls f with the subscription of a consumer that has not ended, if there is one,
// under the lock of its group.
func (d *Dispatcher) ofOwner(o sio.Owner, f func(s *Subscription)) {
	d.mu.RLock()
	g := d.groups[o.Group]
	d.mu.RUnlock()
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.IndexFunc(g.subscriptions, func(s *Subscription) bool { return s.options.ConsumerID == o.ConsumerID }); i >= 0 {
		f(g.subscriptions[i])
	}
}
