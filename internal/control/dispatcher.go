package control

import (
	"time"

	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// Dispatcher is what the services need of the dispatcher of browsers' events. All methods
// may be called at once. [DispatcherOf] makes one.
type Dispatcher interface {
	// Subscribe adds a subscription to its group, replacing the one with its id. Too many
	// are [dispatch.ErrTooMany].
	Subscribe(dispatch.SubscriptionOptions) (Subscription, error)

	// Tail starts to watch. Too many are [dispatch.ErrTooMany].
	Tail(dispatch.TailFilter) (Tail, error)

	groups
}

// groups is what a Dispatcher does beside handing out events.
type groups interface {
	// Reply answers the browser's ack callback of an event. It fails with
	// [dispatch.ErrBadID], [dispatch.ErrNoReply] or [sio.ErrTooLarge].
	Reply(id string, args []byte, attachments [][]byte) error

	// DeleteGroup removes a group, and returns how many subscriptions it ended; see
	// [dispatch.Dispatcher.DeleteGroup].
	DeleteGroup(name string) (ended int, err error)

	// DisconnectConsumer ends the subscription of one consumer.
	DisconnectConsumer(group, consumer string) error

	// DeadLetters lists dead letters; see [dispatch.Dispatcher.DeadLetters].
	DeadLetters(f dispatch.DeadLetterFilter, after string, limit int) (page []dispatch.DeadLetter, more bool)

	// ReplayDeadLetters delivers dead letters once more, and returns how many; see
	// [dispatch.Dispatcher.ReplayDeadLetters].
	ReplayDeadLetters(dispatch.DeadLetterFilter) (int, error)

	// DeleteDeadLetters forgets dead letters, and returns how many.
	DeleteDeadLetters(dispatch.DeadLetterFilter) int

	// Groups returns all groups, by name.
	Groups() []dispatch.GroupStatus

	// Stats counts since the start.
	Stats() dispatch.Stats
}

// Subscription is one consumer's place in its group; see [dispatch.Subscription]. Poll,
// News and Cancelled are for one goroutine; all else may be called at once.
type Subscription interface {
	// Poll returns the next delivery, false if there is none now. Its error is why there
	// will be none any more.
	Poll() (dispatch.Delivery, bool, error)
	// News receives when Poll, after it had nothing, may have something.
	News() <-chan struct{}
	// Cancelled returns the next deliveries that were taken back, false if there are none.
	// As long as there are, Poll has nothing.
	Cancelled() (dispatch.Cancelled, bool)

	// What settles a delivery fails with [dispatch.ErrNotInFlight] or
	// [dispatch.ErrNoVerdict].

	Ack(id string) error
	Nack(id string, delay time.Duration) error
	Working(id string) error
	Verdict(id string, v dispatch.Verdict) error
	// BuryTooLarge makes a dead letter of what does not fit into the consumer's messages.
	BuryTooLarge(id string) error

	// Drain stops deliveries. What is in flight may still be settled.
	Drain()
	// Close ends the subscription. What was in flight is delivered to others.
	Close()
	// Done is closed when the subscription has ended.
	Done() <-chan struct{}
	// Err returns why the subscription has ended, nil while it lives.
	Err() error
}

// Tail shows events to somebody who watches; see [dispatch.Tail].
type Tail interface {
	// Events brings what is shown; each is to be given to Took.
	Events() <-chan *dispatch.Event
	// Took makes room for others: the event is not needed any more.
	Took(*dispatch.Event)
	// Dropped returns how many events were missed so far.
	Dropped() uint64
	// Unreachable names the nodes that do not answer at present.
	Unreachable() []string
	// Stop ends the Tail. Events is not closed.
	Stop()
}

var (
	_ Subscription = (*dispatch.Subscription)(nil)
	_ Tail         = (*dispatch.Tail)(nil)
)

// DispatcherOf returns d, whose subscriptions and tails are of types of its own, as a
// Dispatcher. The layers below import nothing of control, so they cannot return its
// interfaces.
func DispatcherOf[S Subscription, T Tail](d interface {
	Subscribe(dispatch.SubscriptionOptions) (S, error)
	Tail(dispatch.TailFilter) (T, error)
	groups
}) Dispatcher {
	return dispatcherOf[S, T]{d, d.Subscribe, d.Tail}
}

type dispatcherOf[S Subscription, T Tail] struct {
	groups
	subscribe func(dispatch.SubscriptionOptions) (S, error)
	tail      func(dispatch.TailFilter) (T, error)
}

func (d dispatcherOf[S, T]) Subscribe(o dispatch.SubscriptionOptions) (Subscription, error) {
	s, err := d.subscribe(o)
	if err != nil {
		return nil, err // and no interface around a nil S
	}
	return s, nil
}

func (d dispatcherOf[S, T]) Tail(f dispatch.TailFilter) (Tail, error) {
	t, err := d.tail(f)
	if err != nil {
		return nil, err
	}
	return t, nil
}
