package control

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// source hands out events by subscriptions and tails of types of its own. The layers
// below import nothing of this package, so they cannot return its interfaces.
type source[S Subscription, T Tail] interface {
	Subscribe(dispatch.SubscriptionOptions) (S, error)
	Tail(dispatch.TailFilter) (T, error)
	replier
	publisher
}

// local is what a dispatcher that knows of no other nodes does beside that; see
// [administrator].
type local interface {
	DeleteGroup(name string) (ended int, err error)
	DisconnectConsumer(group, consumer string) error
	DeadLetters(f dispatch.DeadLetterFilter, after string, limit int) (page []dispatch.DeadLetter, more bool)
	ReplayDeadLetters(dispatch.DeadLetterFilter) (int, error)
	DeleteDeadLetters(dispatch.DeadLetterFilter) int
	Groups() []dispatch.GroupStatus
	Stats() dispatch.Stats
}

var _ local = (*dispatch.Dispatcher)(nil)

// DispatcherOf returns d, which is all that there is, as a Dispatcher.
func DispatcherOf[S Subscription, T Tail](d interface {
	source[S, T]
	local
}) Dispatcher {
	return dispatcherOf[S, T]{d, d, onlyNode{d}, d}
}

// ClusterDispatcherOf returns d, which asks the other nodes, as a Dispatcher.
func ClusterDispatcherOf[S Subscription, T Tail](d interface {
	source[S, T]
	administrator
}) Dispatcher {
	return dispatcherOf[S, T]{d, d, d, d}
}

type dispatcherOf[S Subscription, T Tail] struct {
	replier
	publisher
	administrator
	source source[S, T]
}

func (d dispatcherOf[S, T]) Subscribe(o dispatch.SubscriptionOptions) (Subscription, error) {
	s, err := d.source.Subscribe(o)
	if err != nil {
		return nil, err // and no interface around a nil S
	}
	return s, nil
}

func (d dispatcherOf[S, T]) Tail(f dispatch.TailFilter) (Tail, error) {
	t, err := d.source.Tail(f)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// onlyNode is an administrator where no other node can be missing.
type onlyNode struct{ local local }

func (n onlyNode) DeleteGroup(_ context.Context, name string) (ended int, nodes sio.Coverage, err error) {
	ended, err = n.local.DeleteGroup(name)
	return ended, nodes, err
}

func (n onlyNode) DisconnectConsumer(_ context.Context, group, consumer string) (nodes sio.Coverage, err error) {
	return nodes, n.local.DisconnectConsumer(group, consumer)
}

func (n onlyNode) DeadLetters(_ context.Context, f dispatch.DeadLetterFilter, after string, limit int) (page []dispatch.DeadLetter, more bool, nodes sio.Coverage) {
	page, more = n.local.DeadLetters(f, after, limit)
	return page, more, nodes
}

func (n onlyNode) ReplayDeadLetters(_ context.Context, f dispatch.DeadLetterFilter) (replayed int, nodes sio.Coverage, err error) {
	replayed, err = n.local.ReplayDeadLetters(f)
	return replayed, nodes, err
}

func (n onlyNode) DeleteDeadLetters(_ context.Context, f dispatch.DeadLetterFilter) (deleted int, nodes sio.Coverage) {
	return n.local.DeleteDeadLetters(f), nodes
}

func (n onlyNode) Groups(context.Context) (groups []dispatch.GroupStatus, counts dispatch.Stats, nodes sio.Coverage) {
	return n.local.Groups(), n.local.Stats(), nodes
}
