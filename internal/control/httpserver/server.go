package httpserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"connectrpc.com/connect"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/stats"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/control/connections"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/control/middleware"
)

// Options of a [Server]. The zero value is that of a server that asks for keys.
type Options struct {
	// MaxStreams is how many calls one HTTP/2 connection may have under way. 0: as many
	// as net/http has by default.
	MaxStreams int

	// Open says that everybody who reaches the server may call. It answers then in plain
	// text to names only of which a web page cannot have others: IP addresses, localhost
	// and Hosts.
	Open bool

	// Hosts are the names, in lower case, by which clients may call the server in plain
	// text besides. If there are some, they hold with keys too.
	Hosts []string

	// Origins are the web pages that may call, as [ParseOrigins] returns them.
	Origins []string

	// Traces makes spans of calls, but for streams that last; nil: there are none.
	Traces *api.Traces

	// Calls counts the calls; nil: one of the server's own.
	Calls *api.CallCounter

	// Logger hears of what net/http finds wrong. Default: slog.Default().
	Logger *slog.Logger
}

// Server serves fanout.v1, health and reflection. Its methods may be called at once.
type Server struct {
	http      *http.Server
	services  *control.Services
	methods   map[string]*method // by path
	unknown   *method            // stands for those that there are not
	stats     []stats.Handler
	letIn     middleware.Middleware // around who asks, before a request is read
	reported  middleware.Middleware // around what is left of a call
	errors    *connect.ErrorWriter
	unguarded http.Handler // behind the guard
	unpacked  atomic.Int64 // bytes that compressed requests came to

	cut   context.Context // ends when Shutdown has waited long enough
	doCut context.CancelFunc
	calls sync.WaitGroup // under way, and handlers that these have left behind

	mu    sync.Mutex
	ended bool // no call begins any more
}

// New returns a Server of services for those whom a knows.
func New(services *control.Services, a *identity.Authenticator, o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Calls == nil {
		o.Calls = api.NewCallCounter()
	}
	s := &Server{
		services: services,
		methods:  map[string]*method{},
		stats:    []stats.Handler{o.Calls},
		letIn:    middleware.Standard(services.Errors, a, access()),
		reported: middleware.Reported(services.Errors),
	}
	if o.Traces != nil {
		s.stats = append(s.stats, o.Traces.Handler())
	}
	s.errors = connect.NewErrorWriter(s.options(services.MaxRequestBytes())...)
	to := registrar{s}
	api.Register(to, services)
	reflection.Register(to) // v1 and v1alpha, which are streams
	o.Calls.Know(to.GetServiceInfo())
	s.unknown = s.newUnknown()
	s.cut, s.doCut = context.WithCancel(context.Background())
	s.unguarded = s.handler()
	guard := guard{open: o.Open, hosts: o.Hosts, origins: o.Origins, refuse: s.refuse, next: s.unguarded}
	s.http = &http.Server{
		Handler:           &guard,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: o.MaxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return connections.NewContext(ctx, connections.Of(c))
		},
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	}
	return s
}

// refuse answers a request that nobody looks at.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	c := &middleware.Call{Method: r.URL.Path, Remote: remote(r.RemoteAddr)}
	s.writeError(w, r, s.reported(r.Context(), c, func(context.Context) error { return err }))
}

// Serve answers calls on l, which it closes, until Shutdown. A connection that is of type
// [*crypto/tls.Conn] may speak HTTP/2. After Shutdown it returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// begin reports whether a call may begin, which ends with calls.Done then.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.calls.Add(1)
	return true
}

// Shutdown ends the services' streams, takes no new calls, and waits until those under way
// have ended. Once ctx ends it cancels what is left, and returns ctx's error. When it
// returns, no call is under way; what calls have left behind, [control.Services.Wait]
// waits for.
func (s *Server) Shutdown(ctx context.Context) error {
	s.services.EndStreams() // they end at that, and at nothing else
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	stop := context.AfterFunc(ctx, s.doCut) // which calls of ServeAs end at
	s.calls.Wait()
	if inTime := stop(); !inTime && err == nil {
		err = ctx.Err()
	}
	return err
}
