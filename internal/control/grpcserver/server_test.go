package grpcserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// fakeHub records the operations that reach it.
type fakeHub struct {
	control.Hub
	before func() // called by Apply; may panic

	mu  sync.Mutex
	ops []sio.Op
}

func (h *fakeHub) Apply(_ context.Context, op sio.Op) (sio.Result, error) {
	if h.before != nil {
		h.before()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	return sio.Result{Matched: 1}, nil
}

func (h *fakeHub) Namespaces(context.Context, string, string, int) (sio.NamePage, error) {
	return sio.NamePage{}, nil
}

func (h *fakeHub) applied() []sio.Op {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ops)
}

// authenticator knows callers with these keys, and everybody without any.
func authenticator(t testing.TB, keys ...string) *identity.Authenticator {
	t.Helper()
	var named []identity.Key
	for _, k := range keys {
		named = append(named, identity.Key{Name: "caller " + k, Secret: k})
	}
	a, err := identity.NewAuthenticator(named, len(keys) == 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// dial serves hub in memory and returns the server and a connection to it. Both
// end with the test.
func dial(t testing.TB, hub control.Hub, o control.Options, keys ...string) (*Server, *grpc.ClientConn) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	services := control.New(hub, o)
	s := New(services, authenticator(t, keys...), Options{})
	l := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
	)
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
		services.Wait()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, conn
}

func toAll() *fanoutv1.Target { return &fanoutv1.Target{All: true} }

func TestPanicAnswersInternal(t *testing.T) {
	hub := &fakeHub{}
	hub.before = func() { panic("a secret") }
	var logged strings.Builder
	_, conn := dial(t, hub, control.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	c := fanoutv1.NewEmitterServiceClient(conn)

	_, err := c.Emit(t.Context(), &fanoutv1.EmitRequest{To: toAll(), Event: "e"})
	if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.Message(), "secret") {
		t.Errorf("unary: got %v, want INTERNAL that says nothing", err)
	}
	stream, err := c.EmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&fanoutv1.EmitStreamRequest{Sequence: 1, Emit: &fanoutv1.EmitRequest{To: toAll(), Event: "e"}}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.Message(), "secret") {
		t.Errorf("stream: got %v, want INTERNAL that says nothing", err)
	}

	hub.before = nil
	if _, err := c.Emit(t.Context(), &fanoutv1.EmitRequest{To: toAll(), Event: "e"}); err != nil {
		t.Errorf("the next call: %v", err)
	}
	if n := strings.Count(logged.String(), "a secret"); n != 2 {
		t.Errorf("the log tells of %d panics, want 2:\n%s", n, &logged)
	}
}

func TestReflectionListsWhatWorks(t *testing.T) {
	want := []string{
		"fanout.v1.AdminService", "fanout.v1.EmitterService", "fanout.v1.EventService", "fanout.v1.RegistryService",
		"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
	}
	_, conn := dial(t, &fakeHub{}, control.Options{Dispatcher: control.DispatcherOf(dispatch.New(dispatch.Options{}))})
	// The messages of both versions are the same on the wire.
	for _, service := range want[5:] {
		t.Run(service, func(t *testing.T) {
			stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+service+"/ServerReflectionInfo")
			if err != nil {
				t.Fatal(err)
			}
			var resp reflectionv1.ServerReflectionResponse
			if err := stream.SendMsg(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(&resp); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range resp.GetListServicesResponse().GetService() {
				got = append(got, s.GetName())
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(&resp); !errors.Is(err, io.EOF) {
				t.Errorf("got %v, want the end", err)
			}
		})
	}
}

func TestShutdownCancelsWhatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn := dial(t, &fakeHub{}, control.Options{})
		stream, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // sooner than it would end by itself
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: got %v, want a deadline passed", err)
		}
		if resp, err := stream.Recv(); err != nil || !resp.GetDraining() {
			t.Errorf("got %v, %v, want draining first", resp, err)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable && status.Code(err) != codes.Canceled {
			t.Errorf("got %v, want the end of the stream", err)
		}
	})
}
