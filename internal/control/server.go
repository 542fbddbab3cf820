package control

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // many clients compress by default; maxRequestBytes bounds what comes out
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// What one peer may cost.
const (
	// A request of ten attachments, each as large as a browser's largest
	// message, fits; so does a batch of a thousand events of some KiB.
	maxRequestBytes = 16 << 20

	// Pages end far below this (maxPageBytes); it bounds a CountConnections of
	// maxGroups groups with long names.
	maxResponseBytes = 16 << 20

	// For each HTTP/2 connection. Further calls wait in the client.
	maxStreams = 1000

	// A bearer key and a tracing header or two need less than 2 KiB.
	maxHeaderBytes = 16 << 10

	// From accept to the end of the HTTP/2 handshake.
	connectTimeout = 10 * time.Second
)

// Event streams may be silent for hours: nothing ends them for being idle. A
// ping tells which peers are gone, and keeps proxies from forgetting the
// others (60 s is the shortest idle timeout among common ones).
var (
	keepaliveParams = keepalive.ServerParameters{
		Time:    45 * time.Second,
		Timeout: 15 * time.Second,
	}
	keepalivePolicy = keepalive.EnforcementPolicy{
		MinTime:             5 * time.Second, // some clients ping every 10 s, and networks bring that closer together
		PermitWithoutStream: true,
	}
)

// Options are the settings of a [Server].
type Options struct {
	// Keys are the bearer keys that callers may use: one, or two during a
	// rotation.
	Keys []string

	// Insecure lets everybody call without a key. It must be said when there
	// are no Keys, and is dangerous on a listener that others can reach.
	Insecure bool

	// Info is what AdminService tells. Its Node is also that of every
	// connection.
	Info Info

	// Events brings what browsers do. Nil: there is no EventService.
	Events Events

	// Logger hears of failures inside. Default: slog.Default().
	Logger *slog.Logger
}

// Server serves fanout.v1, health and reflection. Its methods may be called at
// once.
type Server struct {
	grpc     *grpc.Server
	streams  sync.WaitGroup // goroutines that streams started
	drain    sync.Once
	draining chan struct{} // closed by Drain
}

// NewServer returns a Server for what hub holds. It fails on Options that
// contradict each other.
func NewServer(hub Hub, o Options) (*Server, error) {
	g, err := newGuard(o.Keys, o.Insecure)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Info.Version == "" {
		o.Info.Version = "dev"
	}
	r := NewErrorReporter(o.Logger)
	s := &Server{
		grpc: grpc.NewServer(
			grpc.MaxRecvMsgSize(maxRequestBytes),
			grpc.MaxSendMsgSize(max(maxResponseBytes, maxEventBytes(o.Info.MaxPayload))),
			grpc.MaxConcurrentStreams(maxStreams),
			grpc.MaxHeaderListSize(maxHeaderBytes),
			grpc.ConnectionTimeout(connectTimeout),
			grpc.WaitForHandlers(true), // after Shutdown nothing calls the Hub
			grpc.KeepaliveParams(keepaliveParams),
			grpc.KeepaliveEnforcementPolicy(keepalivePolicy),
			grpc.ChainUnaryInterceptor(r.unary, g.unary),
			grpc.ChainStreamInterceptor(r.stream, g.stream),
			grpc.UnknownServiceHandler(unknownMethod),
		),
		draining: make(chan struct{}),
	}
	fanoutv1.RegisterEmitterServiceServer(s.grpc, &emitter{
		hub: hub, errors: r, keys: newIdempotency(keyCount), draining: s.draining,
	})
	fanoutv1.RegisterRegistryServiceServer(s.grpc, &registry{
		hub: hub, node: o.Info.Node, run: rand.Text(),
	})
	fanoutv1.RegisterAdminServiceServer(s.grpc, &admin{hub: hub, events: o.Events, info: o.Info})
	if o.Events != nil {
		fanoutv1.RegisterEventServiceServer(s.grpc, &events{
			source: o.Events, hub: hub, node: o.Info.Node,
			errors: r, streams: &s.streams, draining: s.draining,
		})
	}
	services := map[string]bool{"": true}
	for name := range s.grpc.GetServiceInfo() {
		services[name] = true
	}
	healthv1.RegisterHealthServer(s.grpc, &health{services: services, draining: s.draining})
	reflection.Register(s.grpc) // v1 and v1alpha
	return s, nil
}

// unknownMethod answers what does not exist. Without it such a call would pass
// the interceptors by, and tell strangers which methods there are.
func unknownMethod(any, grpc.ServerStream) error { return errUnknownMethod }

// Serve answers calls on l, which it closes, until Shutdown. It may be called
// for several listeners. After Shutdown it returns nil.
func (s *Server) Serve(l net.Listener) error { return s.grpc.Serve(l) }

// Drain announces the end: health turns to NOT_SERVING, event streams say
// draining. Calls go on being answered. Later calls of it do nothing.
func (s *Server) Drain() {
	s.drain.Do(func() { close(s.draining) })
}

// Shutdown drains, takes no new calls, and waits until those under way have
// ended. Once ctx ends it cancels what is left, and returns ctx's error. When
// it returns, nothing calls the Hub and the Events any more.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		s.streams.Wait()
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
