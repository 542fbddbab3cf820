package control

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// server serves the services over gRPC, with no more around a call than what
// codes its error.
type server struct {
	*Services
	grpc *grpc.Server
}

func newServer(hub Hub, o Options) *server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := New(hub, o)
	srv := grpc.NewServer(
		grpc.MaxRecvMsgSize(MaxRequestBytes), grpc.MaxSendMsgSize(s.MaxResponseBytes()), grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			resp, err := next(ctx, req)
			return resp, s.Errors.Code(ctx, info.FullMethod, err)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return s.Errors.Code(ss.Context(), info.FullMethod, next(srv, ss))
		}),
	)
	fanoutv1.RegisterEmitterServiceServer(srv, s.Emitter)
	fanoutv1.RegisterRegistryServiceServer(srv, s.Registry)
	fanoutv1.RegisterAdminServiceServer(srv, s.Admin)
	if s.Events != nil {
		fanoutv1.RegisterEventServiceServer(srv, s.Events)
	}
	return &server{Services: s, grpc: srv}
}

// Shutdown waits for the calls under way, and cancels them once ctx ends.
func (s *server) Shutdown(ctx context.Context) error {
	s.EndStreams()
	stop := context.AfterFunc(ctx, s.grpc.Stop)
	s.grpc.GracefulStop()
	s.Wait()
	if !stop() {
		return ctx.Err()
	}
	return nil
}

// dial serves hub in memory and returns the server and a connection to it. Both
// end with the test, which fails if they do not.
func dial(t testing.TB, hub Hub, o Options, dialOptions ...grpc.DialOption) (*server, *grpc.ClientConn) {
	t.Helper()
	s := newServer(hub, o)
	l := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///memory", append(dialOptions,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, conn
}
