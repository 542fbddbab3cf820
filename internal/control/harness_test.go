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
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// server serves the services over gRPC, with no more around a call than who calls and
// what codes its error.
type server struct {
	*Services
	grpc   *grpc.Server
	caller identity.Principal // who calls; a test may change it between calls
}

// callerStream is a stream with another context.
type callerStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *callerStream) Context() context.Context { return s.ctx }

// callerWith returns a caller with these rights, as a key has them.
func callerWith(t testing.TB, r identity.Rights) identity.Principal {
	t.Helper()
	a, err := identity.NewAuthenticator([]identity.Key{{Name: "limited", Secret: "key", Rights: r}}, false)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := a.Authenticate([]string{"Bearer key"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

func newServer(hub Hub, o Options) *server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s := New(hub, o)
	srv := &server{Services: s, caller: identity.Unlimited("")}
	srv.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(s.MaxRequestBytes()), grpc.MaxSendMsgSize(s.MaxResponseBytes()), grpc.WaitForHandlers(true),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			ctx = identity.NewContext(ctx, srv.caller)
			resp, err := next(ctx, req)
			return resp, s.Errors.Code(ctx, info.FullMethod, err)
		}),
		grpc.StreamInterceptor(func(service any, ss grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			ctx := identity.NewContext(ss.Context(), srv.caller)
			return s.Errors.Code(ctx, info.FullMethod, next(service, &callerStream{ss, ctx}))
		}),
	)
	fanoutv1.RegisterEmitterServiceServer(srv.grpc, s.Emitter)
	fanoutv1.RegisterRegistryServiceServer(srv.grpc, s.Registry)
	fanoutv1.RegisterAdminServiceServer(srv.grpc, s.Admin)
	if s.Events != nil {
		fanoutv1.RegisterEventServiceServer(srv.grpc, s.Events)
	}
	return srv
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
