package control

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/idempotency"
)

// What one message may hold.
const (
	// DefaultMaxRequest bounds a request, unpacked. A request of ten attachments,
	// each as large as a browser's largest message, fits; so does a batch of a
	// thousand events of some KiB.
	DefaultMaxRequest = 16 << 20 // bytes

	// Pages end far below this (maxPageBytes); it bounds a CountConnections of
	// maxGroups groups with long names.
	maxResponseBytes = 16 << 20
)

// Options are the settings of [Services].
type Options struct {
	// Info is what the AdminService tells.
	Info Info

	// Dispatcher brings what browsers do. Nil: there is no EventService.
	Dispatcher Dispatcher

	// Keys remembers idempotency keys. Nil: this node does, by itself.
	Keys Keys

	// Blocks is who may not connect. Nil: nobody can be blocked.
	Blocks Blocks

	// Nodes tells of the cluster's other nodes. Nil: there is no cluster.
	Nodes func() []Node

	// Drain begins the drain of the node of this name, empty for this one, unless it has
	// begun, and calls yield as [drain.Drain.Follow] does. A name that there is not is
	// [sio.ErrNotFound], a node that does not answer a [*sio.UnreachableError]. Nil: this
	// daemon cannot be drained.
	Drain func(ctx context.Context, node string, o drain.Overrides, yield func(drain.Progress) error) error

	// Rebalance spreads sessions over the nodes, what one has too much at first over this
	// long, and calls yield with how much each has, until it is done; nil: there is no cluster.
	Rebalance func(ctx context.Context, over time.Duration, yield func(Balance) error) error

	// Logger hears of failures inside, and of who ends connections. Default: slog.Default().
	Logger *slog.Logger
}

// Services are the services of fanout.v1, made for each other. They hold no
// transport: any number of transports may serve them at once, and each puts
// around a call what package middleware holds. The caller is in the context of a
// call; see package identity.
type Services struct {
	Emitter  *Emitter
	Registry *Registry
	Admin    *Admin
	Events   *Events // nil: there are no events

	// Errors codes and logs what calls end with.
	Errors *ErrorReporter

	maxRequestBytes  int
	maxEventBytes    int
	stop, drain, end sync.Once
	notServing       chan struct{} // closed by NotServing
	draining         chan struct{} // closed by Drain
	ending           chan struct{} // closed by EndStreams
}

// New returns the services over hub.
func New(hub Hub, o Options) *Services {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Keys == nil {
		o.Keys = idempotency.NewTable(idempotency.Count)
	}
	if o.Info.MaxRequest == 0 {
		o.Info.MaxRequest = DefaultMaxRequest
	}
	s := &Services{
		maxRequestBytes: o.Info.MaxRequest,

		Errors:        newErrorReporter(o.Logger),
		maxEventBytes: maxEventBytes(o.Info.MaxPayload),
		notServing:    make(chan struct{}),
		draining:      make(chan struct{}),
		ending:        make(chan struct{}),
	}
	s.Emitter = newEmitter(hub, o.Keys, s.Errors, s.draining)
	s.Registry = newRegistry(hub, o.Keys, o.Blocks, o.Logger, s.ending)
	s.Admin = newAdmin(hub, &o, s.Errors)
	if o.Dispatcher != nil {
		s.Events = newEvents(hub, o.Dispatcher, o.Keys, s.Errors, o.Info.Node, s.draining, s.ending)
	}
	s.Emitter.registry, s.Emitter.events = s.Registry, s.Events
	return s
}

// MaxRequestBytes is the size of the largest request, unpacked, that transports let in.
func (s *Services) MaxRequestBytes() int { return s.maxRequestBytes }

// MaxResponseBytes is the size of the largest answer.
func (s *Services) MaxResponseBytes() int { return max(maxResponseBytes, s.maxEventBytes) }

// NotServing has health say no, so that callers go elsewhere; those that come all the same
// are served. Later calls of it do nothing.
func (s *Services) NotServing() {
	s.stop.Do(func() { close(s.notServing) })
}

// Drain is NotServing, and announces the end: no consumer joins any more, and emit streams say
// draining and end soon. Consumers that are there go on, and calls are answered.
// Later calls of it do nothing.
func (s *Services) Drain() {
	s.NotServing()
	s.drain.Do(func() { close(s.draining) })
}

// EndStreams is Drain, and ends event streams: they say draining, and end once
// their consumers have settled what they hold. Later calls of it do nothing.
func (s *Services) EndStreams() {
	s.Drain()
	s.end.Do(func() { close(s.ending) })
}

// ServingEnded is closed by NotServing.
func (s *Services) ServingEnded() <-chan struct{} { return s.notServing }

// Wait waits for the goroutines that calls have left behind; call it when every
// transport has ended. Then nothing calls the Hub and the Dispatcher any more.
func (s *Services) Wait() {
	s.Emitter.Wait()
	if s.Events != nil {
		s.Events.Wait()
	}
}
