package dispatch

import (
	"errors"
	"slices"
)

var (
	// ErrNoGroup: there is no group of this name.
	ErrNoGroup = errors.New("no such group")
	// ErrNoConsumer: the group has no consumer of this id.
	ErrNoConsumer = errors.New("no such consumer")
	// ErrGroupDeleted ends the subscriptions of a group that [Dispatcher.DeleteGroup] removed.
	ErrGroupDeleted = errors.New("the group was deleted")
	// ErrDisconnected ends a subscription by [Dispatcher.DisconnectConsumer].
	ErrDisconnected = errors.New("the consumer was disconnected")
)

// DeleteGroup removes a group with all it holds and all it authorises, and
// returns how many subscriptions it ended. Error: [ErrNoGroup].
func (d *Dispatcher) DeleteGroup(name string) (ended int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.groups[name]
	if g == nil {
		return 0, ErrNoGroup
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.authorized = namespaceSet{}
	for len(g.subscriptions) > 0 {
		g.subscriptions[0].endLocked(ErrGroupDeleted)
		ended++
	}
	g.memory = nil
	g.removeLocked()
	d.DeleteDeadLetters(DeadLetterFilter{Group: name})
	return ended, nil
}

// DisconnectConsumer ends the subscription of one consumer. Errors: [ErrNoGroup],
// [ErrNoConsumer].
func (d *Dispatcher) DisconnectConsumer(group, consumer string) error {
	d.mu.RLock()
	g := d.groups[group]
	d.mu.RUnlock()
	if g == nil {
		return ErrNoGroup
	}
	g.mu.Lock()
	i := slices.IndexFunc(g.subscriptions, func(s *Subscription) bool { return s.options.ConsumerID == consumer })
	if i < 0 {
		g.mu.Unlock()
		return ErrNoConsumer
	}
	s := g.subscriptions[i]
	g.mu.Unlock()
	s.end(ErrDisconnected)
	return nil
}
