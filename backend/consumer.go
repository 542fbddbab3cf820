package backend

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Reply is what a browser's ack callback gets, argument by argument; they are
// sent as [NewEmit] says.
type Reply []any

// Handler handles an event that a browser emitted. If the browser asked for a
// reply it gets one when the handler has succeeded, without arguments for nil;
// otherwise the Reply is ignored. For errors see the package's comment.
//
// ctx ends when time is up for a Consumer that was told to stop.
type Handler func(ctx context.Context, e *Event) (Reply, error)

// Grant is what a connection that may come in gets.
type Grant struct {
	UserID   string         // whom it belongs to; empty: what a token said, if one did
	Rooms    []string       // to join at once
	Data     map[string]any // to be kept with it; must marshal to JSON
	ExpireAt time.Time      // when it is closed, and comes back to be decided anew; zero: never
}

// Refusal is the error of an OnConnecting handler that turns the client away:
// the client gets Message and Data as its connect_error, and does not try again.
type Refusal struct {
	Message string // empty: "not authorized"
	Data    any    // must marshal to JSON; nil: none
	Retry   bool   // the client hears nothing, and tries again by itself
}

func (r *Refusal) Error() string { return "refused: " + r.Message }

// ConsumerOptions say what a [Consumer] is. Group is required.
type ConsumerOptions struct {
	// Group shares the work: each event goes to one of its members. They should
	// all handle the same events. Programs that each want every event use
	// groups of different names.
	Group string

	// ID tells this member from the others of its group; two programs with the
	// same one take turns to replace each other. Default: a random one.
	ID string

	// Namespaces whose events are wanted. Default: all.
	Namespaces []string

	// Concurrency is how many handlers run at once at most, each for another
	// connection. Default 64.
	Concurrency int

	// MaxInFlight bounds the events that have been delivered and not settled,
	// those that wait for a handler included. Default 1000; 10000 at most.
	MaxInFlight int

	// AckWait is how long the daemon waits to hear of a delivery, before its
	// connection goes to another member. It does not bound handlers, since the
	// daemon is told twice as often that they are at work, but how long a process
	// that hangs holds up its connections. From 1 s to 1 h. Default 30 s.
	AckWait time.Duration

	// MaxMessageBytes bounds a message from the daemon; an event that is larger
	// becomes a dead letter. From 64 KiB to 512 MiB. Default 4 MiB, room for any
	// event of a daemon whose max-payload is its default of 1 MB.
	MaxMessageBytes int

	// IncludeConnection has every message come with [Event.Connection], as it is
	// then. It costs the daemon several times as much as the message alone.
	IncludeConnection bool

	// View says how much of [Event.Connection] comes. The default is all of it, but
	// with messages what BASIC has: all but the handshake.
	View fanoutv1.Connection_View

	// SkipExisting leaves out the OnConnect of connections that were there before
	// any member of the group asked for them.
	SkipExisting bool

	// Grace is how long handlers may take to end after Run's context has. Then
	// their context ends too, and what they have not settled goes to another
	// member. Default 10 s.
	Grace time.Duration
}

const (
	defaultConcurrency = 64
	defaultMaxInFlight = 1000
	defaultGrace       = 10 * time.Second
	defaultAckWait     = 30 * time.Second
)

// Consumer is a member of a group: it hears browsers and hands what it hears to
// handlers. Create it with [Client.Consumer].
type Consumer struct {
	client *Client
	opts   ConsumerOptions
	log    *slog.Logger

	// Fixed once Run was called.
	handlers   map[string]Handler
	any        Handler
	connecting func(context.Context, *Event) (Grant, error)
	connect    func(context.Context, *Event) error
	disconnect func(context.Context, *Event) error
	expired    func(context.Context, *Event) error
	assigned   func(context.Context, *Assigned)
	changed    func(context.Context, *Assigned)
	released   func(Conn)
	topics     map[string]MessageHandler

	running atomic.Bool
}

// Consumer returns a consumer; it joins its group when it runs.
func (c *Client) Consumer(o ConsumerOptions) *Consumer {
	if o.ID == "" {
		o.ID = rand.Text()
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = defaultMaxInFlight
	}
	if o.AckWait <= 0 {
		o.AckWait = defaultAckWait
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	return &Consumer{
		client: c, opts: o, handlers: map[string]Handler{}, topics: map[string]MessageHandler{},
		log: c.log.With("group", o.Group, "consumer", o.ID),
	}
}

// On registers the handler for one event. It panics on an event that has one.
func (c *Consumer) On(event string, h Handler) {
	if c.handlers[event] != nil {
		panic(fmt.Sprintf("backend: there is a handler for %q already", event))
	}
	c.handlers[event] = h
}

// OnAny registers the handler for all events that have none. Without it only
// those that have one are asked for.
func (c *Consumer) OnAny(h Handler) { c.any = h }

// OnConnecting registers the handler that decides who may connect, and makes
// the group decide: while none of its members runs, clients are not let in, and
// try again by themselves. Its errors: a [*Refusal]; an [*ArgsError], which
// refuses too; any other, after which the question comes again until the daemon
// has waited long enough (its setting verdict-timeout): then the client tries again.
func (c *Consumer) OnConnecting(h func(ctx context.Context, e *Event) (Grant, error)) {
	c.connecting = h
}

// OnConnect registers the handler for connections that have come in. It is
// handled before anything that the connection emits, and once for the whole group,
// also for connections that are there when its first member runs: see
// [Event.Existing].
func (c *Consumer) OnConnect(h func(ctx context.Context, e *Event) error) { c.connect = h }

// OnDisconnect registers the handler for connections that have ended, the last
// event of each but for OnRecoveryExpired. A connection that ended while it was being let in has no
// OnConnect before it.
func (c *Consumer) OnDisconnect(h func(ctx context.Context, e *Event) error) { c.disconnect = h }

// OnRecoveryExpired registers the handler for connections whose OnDisconnect was
// [Event.Recoverable] and whose clients cannot come back as them any more: what is kept
// for them may go. A node of the daemon that dies takes its connections along unheard.
func (c *Consumer) OnRecoveryExpired(h func(ctx context.Context, e *Event) error) { c.expired = h }

// open is how the consumer joins its group.
func (c *Consumer) open() *fanoutv1.ConsumeRequest {
	o := &fanoutv1.ConsumeRequest_Open{
		Group:             c.opts.Group,
		ConsumerId:        c.opts.ID,
		Namespaces:        c.opts.Namespaces,
		Lifecycle:         c.connect != nil || c.disconnect != nil || c.expired != nil,
		RecoveryExpired:   c.expired != nil,
		Authorize:         c.connecting != nil,
		Assignments:       c.assigned != nil || c.changed != nil || c.released != nil,
		IncludeConnection: c.opts.IncludeConnection,
		View:              c.opts.View,
		SkipExisting:      c.opts.SkipExisting,
		MaxInFlight:       uint32(min(c.opts.MaxInFlight, 10_000)),
		AckWait:           durationpb.New(c.opts.AckWait),
		MaxMessageBytes:   uint32(min(max(c.opts.MaxMessageBytes, 0), maxMessage)), // 0: the daemon's default
	}
	if c.any == nil {
		o.Events = slices.Sorted(maps.Keys(c.handlers))
	}
	c.listens(o)
	return &fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{Open: o}}
}
