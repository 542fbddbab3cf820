package grpcserver

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/connections"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

func (h *fakeHub) HasNamespace(context.Context, string) (bool, error) { return true, nil }

// serveKeys serves hub and events in memory to callers that a knows, until the test ends.
func serveKeys(t *testing.T, hub control.Hub, a *identity.Authenticator) *grpc.ClientConn {
	t.Helper()
	services := control.New(hub, control.Options{
		Logger: slog.New(slog.DiscardHandler), Dispatcher: control.DispatcherOf(dispatch.New(dispatch.Options{Logger: slog.New(slog.DiscardHandler)})),
	})
	s := New(services, a, Options{})
	l := bufconn.Listen(1 << 20)
	bounded := connections.New(connections.Options{Logger: slog.New(slog.DiscardHandler)}).Listen(l)
	served := make(chan error, 1)
	go func() { served <- s.Serve(bounded) }()
	conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		services.Wait()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return conn
}

func withKey(ctx context.Context, key string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
}

// A health check that watches needs no key, and does not end with the one that it brought. But
// it does not keep its connection, which ends soon after the key if nobody calls with another.
func TestHealthWatchesEndSoonAfterTheirKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := identity.Key{Name: "shop", Secret: "old"}, identity.Key{Name: "shop", Secret: "next"}
		a, err := identity.NewAuthenticator([]identity.Key{old}, false)
		if err != nil {
			t.Fatal(err)
		}
		conn := serveKeys(t, &fakeHub{}, a)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		watch, err := healthv1.NewHealthClient(conn).Watch(withKey(ctx, "old"), &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := a.Replace([]identity.Key{next}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		_, err = watch.Recv()
		if took := time.Since(begun); status.Code(err) != codes.Unavailable || took > 2*connections.DefaultTimeout {
			t.Errorf("got %v after %v, want UNAVAILABLE soon", err, took)
		}
	})
}

// Streams end when their key does, whatever they wait for; those of other keys go on.
func TestStreamsEndWithTheirKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := identity.Key{Name: "shop", Secret: "old"}, identity.Key{Name: "shop", Secret: "next"}
		a, err := identity.NewAuthenticator([]identity.Key{old, next}, false)
		if err != nil {
			t.Fatal(err)
		}
		apply := make(chan struct{})
		conn := serveKeys(t, &fakeHub{before: func() { <-apply }}, a)
		defer close(apply)

		// receives opens each kind of stream and returns what waits for its end.
		streams := map[string]func(ctx context.Context) (func() error, error){
			"emit stream, which waits for the hub": func(ctx context.Context) (func() error, error) {
				s, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(ctx)
				if err != nil {
					return nil, err
				}
				err = s.Send(&fanoutv1.EmitStreamRequest{Sequence: 1, Emit: &fanoutv1.EmitRequest{To: toAll(), Event: "e"}})
				return func() error { _, err := s.Recv(); return err }, err
			},
			"consume": func(ctx context.Context) (func() error, error) {
				s, err := fanoutv1.NewEventServiceClient(conn).Consume(ctx)
				if err != nil {
					return nil, err
				}
				if err := s.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{Open: &fanoutv1.ConsumeRequest_Open{Group: "g"}}}); err != nil {
					return nil, err
				}
				_, err = s.Recv()
				return func() error { _, err := s.Recv(); return err }, err
			},
			"tail": func(ctx context.Context) (func() error, error) {
				s, err := fanoutv1.NewEventServiceClient(conn).Tail(ctx, &fanoutv1.TailRequest{})
				if err != nil {
					return nil, err
				}
				_, err = s.Header()
				return func() error { _, err := s.Recv(); return err }, err
			},
			"reflection": func(ctx context.Context) (func() error, error) {
				s, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
				if err != nil {
					return nil, err
				}
				return func() error { _, err := s.Recv(); return err }, nil
			},
		}
		ended := map[string]error{}
		results := make(chan func())
		for name, open := range streams {
			for _, key := range []string{"old", "next"} {
				end, err := open(withKey(t.Context(), key))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				go func() {
					for {
						if err := end(); err != nil {
							results <- func() { ended[name+" with "+key] = err }
							return
						}
					}
				}()
			}
		}
		collect := func() {
			for synctest.Wait(); ; synctest.Wait() {
				select {
				case note := <-results:
					note()
				default:
					return
				}
			}
		}
		if collect(); len(ended) > 0 {
			t.Fatalf("ended before their key: %v", ended)
		}
		if _, err := a.Replace([]identity.Key{next}); err != nil {
			t.Fatal(err)
		}
		collect()
		for name := range streams {
			st := status.Convert(ended[name+" with old"])
			if st.Code() != codes.Unauthenticated || len(st.Details()) != 1 || st.Details()[0].(*errdetails.ErrorInfo).GetReason() != "KEY_ENDED" {
				t.Errorf("%s: got %v, want UNAUTHENTICATED with the reason KEY_ENDED", name, st)
			}
			if err := ended[name+" with next"]; err != nil {
				t.Errorf("%s with a key that goes on: %v", name, err)
			}
		}
		// A call that began with the old key may end; a new one is refused.
		_, err = fanoutv1.NewRegistryServiceClient(conn).ListNamespaces(withKey(t.Context(), "old"), &fanoutv1.ListNamespacesRequest{})
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("a new call with the old key: %v", err)
		}
		conn.Close()
		collect()
	})
}
