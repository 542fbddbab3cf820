package sio

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/warning"
)

// Options of a [Server]. The zero value is valid.
type Options struct {
	// Node is the name of this node, shown with every connection. Default: none.
	Node string
	// Engine configures sessions and transports.
	Engine engineio.Options
	// Namespaces lists the namespaces clients may join, each with its leading
	// slash. Default: "/" alone. A list without "/" leaves that one out. A name
	// with stars is a pattern, as in "/tenant-*": namespaces that match it exist
	// while clients are in them. See [CheckNamespace].
	Namespaces []string
	// Volatile says what becomes of volatile events for slow clients. VolatileIn
	// says it for some of Namespaces, by their names there, patterns included.
	Volatile   VolatilePolicy
	VolatileIn map[string]VolatilePolicy
	// MaxChildren bounds how many namespaces of patterns may exist at once.
	// Default 10,000.
	MaxChildren int
	// MaxRooms bounds the rooms of one connection, that of its own id included, which
	// a Join may bring it to. What a connection is admitted with counts, and is not
	// refused. Default 10,000.
	MaxRooms int
	// RecoveryWindow is how long a client that was cut off may take to come back
	// as the same connection, with its rooms, its data and the events it missed
	// (connection state recovery). 0: it may not, and nothing is kept for it.
	RecoveryWindow time.Duration
	// RecoveryBytes bounds the events and connections that are kept for this, in
	// all namespaces together; the oldest go first. Default 64 MiB.
	RecoveryBytes int64
	// ConnectTimeout is how long a session may stay without having joined any
	// namespace. Default 45 s, as in the reference (socket.io/lib/index.ts).
	ConnectTimeout time.Duration
	// AttachmentTimeout is how long a packet with attachments may take from its
	// text to its last attachment; then its session is closed. Default 30 s: the
	// largest packet over 0.5 Mbit/s.
	AttachmentTimeout time.Duration
	// MaxEventRate bounds the packets of one client a second, in all its namespaces
	// together: events, answers to acks, and CONNECT and DISCONNECT. One second's worth
	// may come at once. Whoever sends faster is read more slowly. Default: no limit.
	MaxEventRate int
	// SecretQuery lists query parameters that carry credentials: they are for the
	// Backend ([Socket.Secret]) and never shown with a connection.
	SecretQuery []string
	// Expose says what else of a handshake is shown with a connection.
	Expose Exposure
	// Backend hears what browsers do. Default: nobody does.
	Backend Backend
	// Others are the servers that a client which comes back may have been cut off from.
	// Default: there are none.
	Others Others
	// Blocks says who may not connect. Default: everybody may.
	Blocks Blocks
	// Owners know which connections belong to whom. Default: none belongs to anybody.
	Owners Owners
	// Interest hears which rooms and users there are. Default: nobody does.
	Interest Interest
	// ChangeListener hears what becomes of connections. Default: nobody does.
	ChangeListener ChangeListener
}

// Interest is told, as it happens, which sets of connections the server has members of:
// each namespace as a whole (its name is empty then), each room, and each user.
// Connections that may come back (see Options.RecoveryWindow) count twice, as their
// namespace's members and as those that are away: each set may be told of up to twice,
// and is empty when it was told of as gone as often. Calls come under the lock of the
// namespace: they touch memory and no more.
type Interest interface {
	Changed(kind room.Kind, namespace, name string, there bool)
}

// VolatilePolicy says what becomes of a volatile event for a client that cannot
// take it at once.
type VolatilePolicy int

const (
	// DropNewest drops the event, as the reference does.
	DropNewest VolatilePolicy = iota
	// DropOldest lets it wait; when too much waits, the oldest volatile event is
	// dropped for the newest.
	DropOldest
)

// Defaults of [Options].
const (
	DefaultConnectTimeout    = 45 * time.Second
	DefaultAttachmentTimeout = 30 * time.Second
	DefaultMaxChildren       = 10_000
	DefaultMaxRooms          = 10_000
	DefaultRecoveryBytes     = 64 << 20
)

// Server is the Socket.IO server, an http.Handler. Create it with [NewServer];
// it is safe for concurrent use.
type Server struct {
	opts       Options
	log        *slog.Logger
	engine     *engineio.Server
	backend    Backend
	namespaces *namespaces
	retention  retention
	run        string        // tells this run from others, to whom its cursors mean nothing
	mark       string        // what the pids that it gives begin with: its epoch, or what stands for it
	hold       time.Duration // how long a browser may be held up over an answer

	numbers atomic.Uint64 // given to the events that clients may be sent again; the latest
	claims  atomic.Uint64 // of connections that were cut off; the latest
	losses  losses
	taking  chan struct{} // one for each connection that is being moved here
	awaited atomic.Int64  // answers, by all requests together

	applying sync.RWMutex // read: an operation is being applied
	closing  bool         // guarded by applying
	// ending is held while a block ends what one client is: a request of that client's ends it
	// too, and its session must not close before all of its namespaces are told.
	ending sync.Mutex
	// callbacks counts the goroutines that call the backend by themselves: one for
	// each Disconnect, to tell of the ends that it caused, and one for losses.
	callbacks sync.WaitGroup

	delays delays // by MaxEventRate

	parserWarnings warning.Throttle // clients with an unknown parser, which come back again and again

	counters counters
}

// NewServer returns a server. It fails on options that make no sense.
func NewServer(opts Options) (*Server, error) {
	opts.Expose = opts.Expose.withDefaults()
	if len(opts.Namespaces) == 0 {
		opts.Namespaces = []string{"/"}
	}
	if opts.MaxChildren == 0 {
		opts.MaxChildren = DefaultMaxChildren
	}
	if opts.MaxRooms == 0 {
		opts.MaxRooms = DefaultMaxRooms
	}
	if opts.ConnectTimeout == 0 {
		opts.ConnectTimeout = DefaultConnectTimeout
	}
	if opts.AttachmentTimeout == 0 {
		opts.AttachmentTimeout = DefaultAttachmentTimeout
	}
	if opts.RecoveryBytes == 0 {
		opts.RecoveryBytes = DefaultRecoveryBytes
	}
	if opts.ConnectTimeout < 0 || opts.AttachmentTimeout < 0 || opts.MaxEventRate < 0 || opts.MaxChildren < 0 || opts.MaxRooms < 0 || opts.RecoveryWindow < 0 || opts.RecoveryBytes < 0 {
		return nil, fmt.Errorf("sio: none may be negative: ConnectTimeout %v, AttachmentTimeout %v, MaxEventRate %d, MaxChildren %d, MaxRooms %d, RecoveryWindow %v, RecoveryBytes %d",
			opts.ConnectTimeout, opts.AttachmentTimeout, opts.MaxEventRate, opts.MaxChildren, opts.MaxRooms, opts.RecoveryWindow, opts.RecoveryBytes)
	}
	s := &Server{opts: opts, backend: opts.Backend, retention: retention{limit: opts.RecoveryBytes}, run: engineio.NewID(""), taking: make(chan struct{}, takeAtOnce), counters: newCounters()}
	if s.backend == nil {
		s.backend = noBackend{}
	}
	if opts.Blocks != nil {
		opts.Engine.Blocked = opts.Blocks.Address
	}
	if s.opts.Owners == nil {
		s.opts.Owners = noOwners{}
	}
	var err error
	if s.engine, err = engineio.NewServer(opts.Engine, s); err != nil {
		return nil, err
	}
	if s.namespaces, err = newNamespaces(s, opts.Namespaces, opts.MaxChildren); err != nil {
		return nil, err
	}
	s.log = s.engine.Options().Logger
	if s.mark = opts.Engine.Epoch; s.mark == "" {
		s.mark = engineio.EpochOf(s.run)
	}
	s.hold = min(maxHold, s.engine.Options().PingTimeout/2)
	return s, nil
}

// ServeHTTP serves the Engine.IO endpoint.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.engine.ServeHTTP(w, r) }

// CORS serves h to pages of other origins under the same rules: see
// [engineio.Server.CORS].
func (s *Server) CORS(h http.Handler) http.Handler { return s.engine.CORS(h) }

// SetAccess has requests from now on judged by a. It may be called at any time, from any
// goroutine.
func (s *Server) SetAccess(a engineio.Access) { s.engine.SetAccess(a) }

// TrustsPeer reports whether the other end of a connection is one of the proxies that are
// believed now. It may be called at any time, from any goroutine.
func (s *Server) TrustsPeer(a net.Addr) bool { return s.engine.TrustsPeer(a) }

// Open implements engineio.Handler.
func (s *Server) Open(session *engineio.Session, r *http.Request) (engineio.Receiver, error) {
	c := &conn{
		server:    s,
		session:   session,
		handshake: newHandshake(r, s.opts.SecretQuery, &s.opts.Expose),
		decoder:   *parser.NewDecoder(parser.Limits{MaxBytes: decoderLimit(s.engine.Options().MaxPayload)}),
		rate:      newEventRate(s.opts.MaxEventRate),
	}
	c.timeout = time.AfterFunc(s.opts.ConnectTimeout, func() { session.Close(engineio.ReasonConnectTimeout) })
	return c, nil
}

// decoderLimit bounds a packet with its attachments to two messages' worth, so
// that eleven messages of the full size do not add up before authentication.
func decoderLimit(maxPayload int64) int { return int(2 * maxPayload) }

// Apply carries one operation out on this server's sockets. It is in force when
// Apply returns: the next operation sees its effect. It never waits for a
// browser. Errors: [ErrUnknownNamespace], [ErrTooLarge], [ErrClosed], for a Join
// [ErrTooManyRooms], for an Update [ErrNotFound], and for it and an UpdateAll
// [ErrTooMuchData].
func (s *Server) Apply(ctx context.Context, op Op) (Result, error) {
	result, queued, err := s.apply(ctx, op)
	s.engine.Pace(queued)
	return result, err
}

// apply is Apply, and returns in one of its encodings what it queued, if that is
// an event, for the caller to pace by.
func (s *Server) apply(ctx context.Context, op Op) (_ Result, queued []*engineio.Message, err error) {
	s.applying.RLock()
	defer s.applying.RUnlock()
	if s.closing && s.opts.Others == nil { // else it concerns those who may come back to others
		return Result{}, nil, ErrClosed
	}
	var number uint64
	if e, ok := op.(Emit); ok && s.opts.RecoveryWindow > 0 && !e.Volatile {
		number = s.numbers.Add(1) // also of an event for a namespace that is not there: it may be at others
	}
	namespace := op.target().Namespace
	if _, one := op.(Update); !one && Spans(namespace) {
		all, ok := s.namespaces.spanned(namespace)
		if !ok {
			return Result{}, nil, ErrUnknownNamespace
		}
		return s.applySpanning(ctx, all, op, number)
	}
	n := s.namespaces.find(namespace)
	if n == nil {
		return Result{}, nil, ErrUnknownNamespace
	}
	return n.apply(ctx, op, number)
}

// apply carries out an operation on what it selects in this namespace; number is that of an
// Emit. queued is as in [Server.apply].
func (n *Namespace) apply(ctx context.Context, op Op, number uint64) (_ Result, queued []*engineio.Message, err error) {
	sel, err := n.selectorOf(ctx, op.target())
	if err != nil {
		return Result{}, nil, err
	}
	var result Result
	switch op := op.(type) {
	case Emit:
		op.To.Selector = sel
		return n.emit(op, number)
	case Join:
		op.To.Selector = sel
		result.Matched, err = n.join(op)
	case Leave:
		op.To.Selector = sel
		result.Matched = n.leave(op)
	case Disconnect:
		op.To.Selector = sel
		_, result.Matched = n.disconnect(op)
	case Update:
		if result.Matched, err = n.update(sel, op.Changes); err == nil && result.Matched == 0 {
			err = ErrNotFound
		}
	case UpdateAll:
		result.Matched, err = n.update(sel, op.Changes)
	default:
		panic(fmt.Sprintf("sio: unknown operation %T", op)) // the set is sealed
	}
	return result, nil, err
}

// Close closes every session without a DISCONNECT packet, so that stock clients
// come back by themselves, and refuses new ones. It returns when the Backend has
// heard of the end of every socket, and hears nothing more; or, with its cause,
// when ctx is done. The transports may take longer, which Shutdown waits for.
func (s *Server) Close(ctx context.Context) error {
	s.applying.Lock()
	s.closing = true
	s.applying.Unlock()
	if err := s.engine.Close(ctx); err != nil {
		return err
	}
	s.callbacks.Wait()
	return nil
}

// Shutdown is Close, and waits until the transports have ended too, or ctx is
// done; then they are cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	_ = s.Close(ctx) // what is left ends with the transports
	err := s.engine.Shutdown(ctx)
	s.callbacks.Wait()
	return err
}

// SetLimits changes who may hold sessions from now on: see [engineio.Server.SetLimits].
func (s *Server) SetLimits(l engineio.Limits) { s.engine.SetLimits(l) }
