package grpcserver

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // many clients compress by default; the limit holds for what comes out
	"google.golang.org/grpc/reflection"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/control/middleware"
)

// Server serves fanout.v1, health and reflection. Its methods may be called at
// once.
type Server struct {
	grpc     *grpc.Server
	services *control.Services
	handlers sync.WaitGroup // of streams whose callers have keys that may end, and reads of inTime
	calls    *api.CallCounter
}

// Options of a [Server]. The zero value serves in plain text.
type Options struct {
	// TLS is how callers connect, with h2 among its NextProtos; nil: in plain text. A
	// connection whose handshake is done already, a [*tls.Conn], is taken as it is.
	TLS *tls.Config

	// MaxStreams is how many calls one HTTP/2 connection may have under way, each of
	// which may hold a request. Further ones wait in the client. Default
	// [DefaultMaxStreams].
	MaxStreams int

	// Window is how many bytes one connection may send, in all or in one call, before they
	// are read: what callers may be ahead of what is done. Default: gRPC's own, from 64 KiB
	// on and up to 16 MiB, as the way to a caller is long.
	Window int32

	// Traces makes spans of calls, but for streams that last; nil: there are none.
	Traces *api.Traces

	// Calls counts the calls; nil: one of the server's own.
	Calls *api.CallCounter
}

// New returns a Server of services for those whom a knows.
func New(services *control.Services, a *identity.Authenticator, o Options) *Server {
	if o.MaxStreams == 0 {
		o.MaxStreams = DefaultMaxStreams
	}
	transport := insecure.NewCredentials()
	if o.TLS != nil {
		transport = credentials.NewTLS(o.TLS)
	}
	if o.Calls == nil {
		o.Calls = api.NewCallCounter()
	}
	m := middleware.Standard(services.Errors, a, api.Access)
	s := &Server{services: services, calls: o.Calls}
	var more []grpc.ServerOption
	if o.Window > 0 {
		more = append(more, grpc.InitialWindowSize(o.Window), grpc.InitialConnWindowSize(o.Window))
	}
	if o.Traces != nil {
		more = append(more, grpc.StatsHandler(o.Traces.Handler()))
	}
	s.grpc = grpc.NewServer(append(more,
		grpc.StatsHandler(s.calls),
		grpc.Creds(transportCredentials{transport}),
		grpc.MaxRecvMsgSize(services.MaxRequestBytes()),
		grpc.MaxSendMsgSize(services.MaxResponseBytes()),
		grpc.MaxConcurrentStreams(uint32(o.MaxStreams)),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(connectTimeout),
		grpc.WaitForHandlers(true), // after Shutdown no call is under way
		grpc.KeepaliveParams(keepaliveParams),
		grpc.KeepaliveEnforcementPolicy(keepalivePolicy),
		grpc.StreamInterceptor(s.streamInterceptor(m)),
		grpc.UnknownServiceHandler(unknownMethod),
	)...)
	to := registrar{s.grpc, s, m}
	api.Register(to, services)
	reflection.Register(s.grpc) // v1 and v1alpha, which are streams
	s.calls.Know(s.grpc.GetServiceInfo())
	return s
}

// Calls returns what was counted of every method that was called, by name.
func (s *Server) Calls() []api.MethodStats { return s.calls.Calls() }

// unknownMethod answers what does not exist. Without it such a call would pass
// the interceptors by, and tell callers without a key which methods there are.
func unknownMethod(any, grpc.ServerStream) error { return control.ErrUnknownMethod }

// Serve answers calls on l, which it closes, until Shutdown. It may be called
// for several listeners. One of a [connections.Limiter] is told who calls. After Shutdown it returns nil.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Shutdown ends the services' streams, takes no new calls, and waits until those
// under way have ended. Once ctx ends it cancels what is left, and returns ctx's error.
// When it returns, no call is under way; what calls have left behind,
// [control.Services.Wait] waits for.
func (s *Server) Shutdown(ctx context.Context) error {
	s.services.EndStreams() // they end at that, and at nothing else
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		s.handlers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.grpc.Stop() // ends GracefulStop too
		<-done
		return context.Cause(ctx)
	}
}
