package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// dial serves hub in memory and returns the server and a connection to it. Both
// end with the test.
func dial(t testing.TB, hub Hub, o Options, dialOptions ...grpc.DialOption) (*Server, *grpc.ClientConn) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	o.Insecure = len(o.Keys) == 0
	s, err := NewServer(hub, o)
	if err != nil {
		t.Fatal(err)
	}
	l := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
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

// fields returns the field paths of an INVALID_ARGUMENT; the test fails if err
// is anything else or one of them is missing in the message.
func fields(t *testing.T, err error) []string {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != codes.InvalidArgument {
		t.Fatalf("got %v, want INVALID_ARGUMENT", err)
	}
	var out []string
	for _, d := range st.Details() {
		for _, v := range d.(*errdetails.BadRequest).GetFieldViolations() {
			out = append(out, v.GetField())
			if v.GetDescription() == "" || !strings.Contains(st.Message(), v.GetField()+": "+v.GetDescription()) {
				t.Errorf("violation %v is not in the message %q", v, st.Message())
			}
		}
	}
	return out
}

func toAll() *fanoutv1.Target { return &fanoutv1.Target{All: true} }

func toRoom(name string) *fanoutv1.Target { return &fanoutv1.Target{Rooms: []string{name}} }

func TestPanicAnswersInternal(t *testing.T) {
	hub := newMemHub()
	hub.before = func(context.Context) { panic("a secret") }
	var logged strings.Builder
	_, conn := dial(t, hub, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
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

func TestHubErrors(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want codes.Code
	}{
		{"closed", sio.ErrClosed, codes.Unavailable},
		{"canceled", context.Canceled, codes.Canceled},
		{"deadline", fmt.Errorf("asking: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		{"other", errors.New("a secret"), codes.Internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hub := newMemHub()
			hub.err = tt.err
			_, conn := dial(t, hub, Options{})
			calls := map[string]func() error{
				"Emit": func() error {
					_, err := fanoutv1.NewEmitterServiceClient(conn).Emit(t.Context(), &fanoutv1.EmitRequest{To: toAll(), Event: "e"})
					return err
				},
				"Join": func() error {
					_, err := fanoutv1.NewRegistryServiceClient(conn).Join(t.Context(), &fanoutv1.JoinRequest{To: toAll(), Rooms: []string{"r"}})
					return err
				},
				"UpdateConnection": func() error {
					_, err := fanoutv1.NewRegistryServiceClient(conn).UpdateConnection(t.Context(), &fanoutv1.UpdateConnectionRequest{Id: "a"})
					return err
				},
			}
			for name, call := range calls {
				st := status.Convert(call())
				if st.Code() != tt.want || strings.Contains(st.Message(), "secret") {
					t.Errorf("%s: got %v, want %v that says nothing of a secret", name, st, tt.want)
				}
			}
		})
	}
}

func TestReflectionListsWhatWorks(t *testing.T) {
	want := []string{
		"fanout.v1.AdminService", "fanout.v1.EmitterService", "fanout.v1.EventService", "fanout.v1.RegistryService",
		"grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
	}
	_, conn := dial(t, newMemHub(), Options{Events: dispatch.New(dispatch.Options{})})
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
		s, conn := dial(t, newMemHub(), Options{})
		stream, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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

func TestNewServerRefusesOptions(t *testing.T) {
	tests := []struct {
		name string
		o    Options
	}{
		{"no keys", Options{}},
		{"keys and insecure", Options{Keys: []string{"k"}, Insecure: true}},
		{"three keys", Options{Keys: []string{"a", "b", "c"}}},
		{"an empty key", Options{Keys: []string{""}}},
		{"a key with a line end", Options{Keys: []string{"k\n"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewServer(newMemHub(), tt.o); err == nil {
				t.Error("got a server")
			}
		})
	}
}
