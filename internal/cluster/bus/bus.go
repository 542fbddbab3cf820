package bus

import "errors"

// MaxPayload is the longest payload that a bus carries: what NATS takes unless
// configured otherwise.
const MaxPayload = 1 << 20 // bytes

// What may wait for a subscription's handler: what sixteen peers together send within
// windows of 4 MiB fits, and a handler that hangs does not take the node's memory.
const (
	MaxPending         = 64 << 20 // bytes of payload
	MaxPendingMessages = 256 << 10
)

// Why something could not be done.
var (
	ErrClosed       = errors.New("bus: closed")
	ErrNotConnected = errors.New("bus: not connected")
	ErrTooLarge     = errors.New("bus: the payload is longer than MaxPayload")
	ErrSubject      = errors.New("bus: not a subject")
)

// Bus carries messages between nodes, at most once: they may be lost, doubled or late.
// From one sender to one subject they arrive in the order sent, unless lost. A sender's
// own subscriptions receive as those of others do. All methods may be called concurrently.
type Bus interface {
	// Publish hands a message to the bus; it does not wait for anybody. The payload may be
	// reused after it returns. reply, if not empty, is the subject where the bus says that
	// nobody subscribes to subject: then one of the sender's handlers of that subject gets
	// Message{NoResponders: true}. No such notice is no promise that the message arrives.
	//
	// Errors are ErrClosed, ErrNotConnected, ErrTooLarge and ErrSubject; what was refused
	// is not kept.
	Publish(subject, reply string, payload []byte) error

	// Subscribe calls f for each message of a subject, one call at a time for each
	// subscription. `*` is a whole token, as in NATS. When it returns this node's messages
	// are received; other nodes learn of the subscription soon after, and what they
	// published before that is not received.
	//
	// A subscription whose handler is slow loses what exceeds MaxPending or
	// MaxPendingMessages; it holds up no other subscription.
	Subscribe(subject string, f func(Message)) (Subscription, error)

	// Connected reports whether the bus is there: an external server may be away.
	Connected() bool

	// Dropped returns how many messages this node lost that had reached it, or were
	// refused with ErrNotConnected. What was lost on the way is not known here.
	Dropped() uint64

	// Close ends all subscriptions and waits for the calls under way, so it is not for
	// handlers to call. Nothing is called after it. The second call does nothing.
	Close() error
}

// Routed is a Bus that knows how many other nodes it has ways to at the moment.
type Routed interface {
	Others() int
}

// Message is what a handler gets.
type Message struct {
	Subject      string
	Payload      []byte // the handler's only until it returns
	NoResponders bool   // nobody subscribes to what was published with this subject as its reply
}

// Subscription is the right of a handler to be called.
type Subscription interface {
	// Unsubscribe ends it: no call begins after it returned; one may be under way still.
	// Handlers may call it. The second call does nothing.
	Unsubscribe() error
}

// Stats are the counts of a bus over a network.
type Stats struct {
	Connected  bool
	Dropped    uint64 // as Bus.Dropped
	Reconnects uint64 // to the server, after it was away
	Routes     int    // to the servers of other nodes; 0 if the nodes share one
}
