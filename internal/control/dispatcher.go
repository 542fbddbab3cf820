package control

import (
	"context"
	"time"

	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/publish"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Dispatcher is what the services need of the dispatcher of browsers' events, over all
// nodes of a cluster. All methods may be called at once. [DispatcherOf] and
// [ClusterDispatcherOf] make one.
type Dispatcher interface {
	// Subscribe adds a subscription to its group, replacing the one with its id. Too many
	// are [dispatch.ErrTooMany].
	Subscribe(dispatch.SubscriptionOptions) (Subscription, error)

	// Tail starts to watch. Too many are [dispatch.ErrTooMany].
	Tail(dispatch.TailFilter) (Tail, error)

	replier
	publisher
	administrator
}

type publisher interface {
	// Publish hands a message to consumers that asked for its topic. It returns when the
	// message has its place behind what the caller published before, and waits for no
	// consumer: the Publication does, which is to be waited for. Error: [publish.ErrBusy].
	Publish(*publish.Request) (*publish.Publication, error)
}

type replier interface {
	// Reply answers the browser's ack callback of an event, of these namespaces: names
	// and patterns; empty: all. It fails with [dispatch.ErrBadID], [dispatch.ErrNoReply] or
	// [sio.ErrTooLarge].
	Reply(id string, namespaces []string, args []byte, attachments [][]byte) error
}

// administrator looks after the groups of all nodes. Its methods return before ctx's
// deadline, with what the nodes that answered have done or know; the Coverage names the
// others. Where nobody that answered knows the group or the consumer that is meant, but a
// node did not answer, the error is an [sio.UnreachableError].
type administrator interface {
	// DeleteGroup removes a group, and returns how many subscriptions it ended; see
	// [dispatch.Dispatcher.DeleteGroup].
	DeleteGroup(ctx context.Context, name string) (ended int, nodes sio.Coverage, err error)

	// DisconnectConsumer ends the subscription of one consumer.
	DisconnectConsumer(ctx context.Context, group, consumer string) (sio.Coverage, error)

	// DeadLetters lists dead letters; see [dispatch.Dispatcher.DeadLetters].
	DeadLetters(ctx context.Context, f dispatch.DeadLetterFilter, after string, limit int) (page []dispatch.DeadLetter, more bool, nodes sio.Coverage)

	// ReplayDeadLetters delivers dead letters once more, and returns how many; see
	// [dispatch.Dispatcher.ReplayDeadLetters].
	ReplayDeadLetters(context.Context, dispatch.DeadLetterFilter) (int, sio.Coverage, error)

	// DeleteDeadLetters forgets dead letters, and returns how many.
	DeleteDeadLetters(context.Context, dispatch.DeadLetterFilter) (int, sio.Coverage)

	// Groups returns all groups, by name, and what was counted since the start.
	Groups(context.Context) ([]dispatch.GroupStatus, dispatch.Stats, sio.Coverage)
}

// Subscription is one consumer's place in its group; see [dispatch.Subscription]. Poll,
// News, Cancelled, Handover and Published are for one goroutine; all else may be called at once.
type Subscription interface {
	// Poll returns the next delivery, false if there is none now. Its error is why there
	// will be none any more.
	Poll() (dispatch.Delivery, bool, error)
	// News receives when Poll, after it had nothing, may have something.
	News() <-chan struct{}
	// Cancelled returns the next deliveries that were taken back, false if there are none.
	// As long as there are, Poll has nothing.
	Cancelled() (dispatch.Cancelled, bool)
	// Handover returns the next piece of what a consumer with Assignments is to be told of
	// the connections that it owns, false if there is none now.
	Handover() (dispatch.Handover, bool)
	// Published returns the next message that was published to the consumer's topics, false
	// if there is none now.
	Published() (publish.Delivery, bool)
	// PublishedTooLarge says that a message does not fit into the consumer's messages.
	PublishedTooLarge(id string)
	// Answer answers a message. Error: [publish.ErrNotAwaited].
	Answer(id string, args []byte, attachments [][]byte) error

	// What settles a delivery fails with [dispatch.ErrNotInFlight] or
	// [dispatch.ErrNoVerdict].

	Ack(id string) error
	Nack(id string, delay time.Duration) error
	Postpone(id string, delay time.Duration) error
	Bury(id string) error
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
