package grpcserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/api"
)

// byMethod returns the counts of all methods that were called.
func byMethod(s *Server) map[string]api.MethodStats {
	all := map[string]api.MethodStats{}
	for _, m := range s.Calls() {
		all[m.Method] = m
	}
	return all
}

// Calls are counted by method and code; also those that end before any handler runs, and
// all methods that are made up, as one.
func TestCallsAreCounted(t *testing.T) {
	hub := &fakeHub{}
	s, conn := dial(t, hub, control.Options{}, "one")
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer one")
	emitter := fanoutv1.NewEmitterServiceClient(conn)
	emit := func(ctx context.Context, r *fanoutv1.EmitRequest) { _, _ = emitter.Emit(ctx, r) }
	good := &fanoutv1.EmitRequest{To: toAll(), Event: "tick"}
	emit(ctx, good)
	emit(ctx, good)
	emit(t.Context(), good)
	hub.before = func() { panic("a mistake") }
	emit(ctx, good)
	emit(ctx, &fanoutv1.EmitRequest{To: toAll(), Event: "tick", ArgsJson: strings.Repeat("x", s.services.MaxRequestBytes()+1)})
	for _, method := range []string{"/fanout.v1.EmitterService/No", "/no.Such/Method"} {
		_ = conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
	}

	want := map[string]map[string]uint64{
		"fanout.v1.EmitterService/Emit": {"OK": 2, "Unauthenticated": 1, "Internal": 1, "ResourceExhausted": 1},
		api.UnknownMethods:              {"Unimplemented": 2},
	}
	ended := func(all map[string]api.MethodStats) (n uint64) {
		for _, m := range all {
			for _, c := range m.Codes {
				n += c
			}
		}
		return n
	}
	all := byMethod(s)
	for began := time.Now(); ended(all) < 7 && time.Since(began) < time.Minute; time.Sleep(time.Millisecond) { // clients have their answers before the server is done
		all = byMethod(s)
	}
	if len(all) != len(want) {
		t.Errorf("methods: %v", all)
	}
	for method, codes := range want {
		if got := all[method]; !maps.Equal(got.Codes, codes) || got.InFlight != 0 {
			t.Errorf("%s: got %+v, want %v", method, got, codes)
		}
	}
	if d := all["fanout.v1.EmitterService/Emit"].Durations; d.Count != 5 {
		t.Errorf("%d calls have a duration, want 5", d.Count)
	}
}

// A stream is in flight while it lasts, and has no duration.
func TestStreamsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, conn := dial(t, &fakeHub{}, control.Options{})
		stream, err := fanoutv1.NewEmitterServiceClient(conn).EmitStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		const method = "fanout.v1.EmitterService/EmitStream"
		if m := byMethod(s)[method]; m.InFlight != 1 || len(m.Codes) != 0 {
			t.Errorf("while it lasts: %+v", m)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		synctest.Wait()
		if m := byMethod(s)[method]; m.InFlight != 0 || m.Codes["OK"] != 1 || m.Durations.Count != 0 {
			t.Errorf("when it ended: %+v", m)
		}
	})
}

// Calls that do something are spans of their callers' traces; others are none.
func TestTracedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		services := control.New(&fakeHub{}, control.Options{Logger: slog.New(slog.DiscardHandler)})
		s := New(services, authenticator(t), Options{Traces: &api.Traces{
			Provider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), Propagator: propagation.TraceContext{},
		}})
		l := bufconn.Listen(1 << 20)
		go s.Serve(l)
		conn, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		const trace = "0123456789abcdef0123456789abcdef"
		ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+trace+"-0123456789abcdef-01")
		if _, err := fanoutv1.NewEmitterServiceClient(conn).Emit(ctx, &fanoutv1.EmitRequest{To: toAll(), Event: "tick"}); err != nil {
			t.Error(err)
		}
		if _, err := fanoutv1.NewRegistryServiceClient(conn).ListNamespaces(ctx, &fanoutv1.ListNamespacesRequest{}); err != nil {
			t.Error(err)
		}
		conn.Close()
		shut, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(shut); err != nil {
			t.Error(err)
		}
		services.Wait()
		all := spans.GetSpans()
		if len(all) != 1 || all[0].Name != "fanout.v1.EmitterService/Emit" || all[0].SpanContext.TraceID().String() != trace {
			t.Errorf("spans: %+v", all)
		}
	})
}
