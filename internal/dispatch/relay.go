package dispatch

import "errors"

// What somebody needs who relays deliveries to a consumer that is elsewhere, or has
// other sources of them beside.

// ErrInterrupted ends a subscription by [Subscription.Interrupt].
var ErrInterrupted = errors.New("the way to the consumer was interrupted")

// Limit changes how many deliveries may be in flight, MaxInFlight at first, and returns
// how many are. Those beyond the limit stay.
func (s *Subscription) Limit(n int) (inFlight int) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	if n > s.limit && s.inFlight >= s.limit {
		s.watchdog.progressed() // it could not take what waits until now
		s.wake()
	}
	s.limit = n
	return s.inFlight
}

// Waiting reports whether Poll would have a delivery if fewer were in flight.
func (s *Subscription) Waiting() bool {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	if s.cause != nil || s.draining {
		return false
	}
	s.tellLocked()
	q := s.nextTurnLocked()
	return q != nil && !q.untoldLocked()
}

// Unread gives a delivery back that the consumer has not seen, with what follows it from
// the same connection: no attempt was made. It does nothing if it is not in flight.
func (s *Subscription) Unread(id string) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	q, i, err := s.inFlightLocked(id)
	if err != nil {
		return
	}
	for j := i; j < q.sent; j++ {
		q.items[j].attempt--
	}
	q.rewindLocked(i)
	q.advanceLocked()
	q.moveLocked()
	s.wake()
}

// Interrupt ends the subscription because the consumer cannot be reached, which is no
// fault of what is in flight to it: that is delivered again, and not suspected. What
// the consumer asked for is remembered, since it may come back.
func (s *Subscription) Interrupt() {
	s.group.mu.Lock()
	s.settled = true
	s.leaveLocked(ErrInterrupted, false)
	s.group.mu.Unlock()
	s.group.settleDown()
}

// Authorized returns what each group authorises: namespaces and patterns, "*" for all.
func (d *Dispatcher) Authorized() map[string][]string {
	all := map[string][]string{}
	for _, g := range d.all() {
		g.mu.Lock()
		if !g.authorized.empty() {
			all[g.name] = g.authorized.list()
		}
		g.mu.Unlock()
	}
	return all
}

// Authorizes reports whether a group authorises all of these namespaces and patterns;
// none: every namespace.
func (d *Dispatcher) Authorizes(group string, namespaces []string) bool {
	d.mu.RLock()
	g := d.groups[group]
	d.mu.RUnlock()
	if g == nil {
		return false
	}
	asked := newNamespaceSet(namespaces)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.authorized.includes(&asked)
}

// Authorize has a group authorise namespaces, as if a consumer that does had been there.
// It does not take back what the group authorises already. Error: [ErrTooMany].
func (d *Dispatcher) Authorize(group string, namespaces []string) error {
	s, err := d.subscribe(SubscriptionOptions{Group: group, ConsumerID: "\x00authorize", Namespaces: namespaces, Authorize: true, SkipExisting: true, Relayed: true})
	if s != nil {
		s.group.mu.Lock()
		s.leaveLocked(ErrClosed, false)
		s.group.mu.Unlock()
		s.group.settleDown()
	}
	return err
}

// Assignment says whether a connection belongs to a subscription.
type Assignment struct {
	ConnectionID, Namespace string
	Owned                   bool // else it did
	Told                    bool // its group has been delivered its Connected
}

// Assignments returns what has changed since it was called last, for a subscription that
// is Relayed and asks for the Lifecycle. News receives when there is something.
func (s *Subscription) Assignments() (changed []Assignment) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	for id, a := range s.assignments {
		changed = append(changed, a)
		delete(s.assignments, id)
	}
	return changed
}

// noteAssignedLocked notes that the queue passes from one subscription to another; nil:
// nobody.
func (q *queue) noteAssignedLocked(from, to *Subscription) {
	if from == to {
		return
	}
	if from != nil && from.assignments != nil && from.cause == nil {
		from.assignments[q.id] = Assignment{ConnectionID: q.id, Namespace: q.namespace}
		from.wake()
	}
	if to != nil && to.assignments != nil {
		to.assignments[q.id] = Assignment{ConnectionID: q.id, Namespace: q.namespace, Owned: true, Told: q.told && !q.comingLocked()}
		to.wake()
	}
}
