package tracing

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

func newServer(t *testing.T) (*Server, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	s, err := sio.NewServer(sio.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return NewServer(s, sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer(Scope)), spans
}

const parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

func toAll(namespace string) sio.Target {
	return sio.Target{Namespace: namespace, Selector: room.Selector{All: true}}
}

func TestFanOutSpans(t *testing.T) {
	emit := func(namespace string) func(context.Context, *Server) error {
		return func(ctx context.Context, s *Server) error {
			_, err := s.Apply(ctx, sio.Emit{To: toAll(namespace), Event: "tick"})
			return err
		}
	}
	tests := []struct {
		name        string
		traceparent string
		call        func(context.Context, *Server) error
		spans       int
		status      codes.Code
	}{
		{"an emit of a trace", parent, emit("/"), 1, codes.Unset},
		{"an emit that fails", parent, emit("/unknown"), 1, codes.Error},
		{"an emit of no trace", "", emit("/"), 0, 0},
		{"an emit of a trace that is not sampled", parent[:53] + "00", emit("/"), 0, 0},
		{"an emit with acks", parent, func(ctx context.Context, s *Server) error {
			_, err := s.EmitWithAck(ctx, sio.AckRequest{Emit: sio.Emit{To: toAll("/"), Event: "tick"}, Timeout: time.Second}, func(sio.AckResult) bool { return true })
			return err
		}, 1, codes.Unset},
		{"an emit with acks of no trace", "", func(ctx context.Context, s *Server) error {
			_, err := s.EmitWithAck(ctx, sio.AckRequest{Emit: sio.Emit{To: toAll("/"), Event: "tick"}, Timeout: time.Second}, func(sio.AckResult) bool { return true })
			return err
		}, 0, 0},
		{"a call of nobody", parent, func(ctx context.Context, s *Server) error {
			_, err := s.Call(ctx, callOf("/", "nobody"), nil)
			if errors.Is(err, sio.ErrNotFound) {
				err = nil
			}
			return err
		}, 1, codes.Unset},
		{"a call that fails", parent, func(ctx context.Context, s *Server) error {
			_, err := s.Call(ctx, callOf("/unknown", "nobody"), nil)
			return err
		}, 1, codes.Error},
		{"a call of no trace", "", func(ctx context.Context, s *Server) error {
			_, _ = s.Call(ctx, callOf("/", "nobody"), nil)
			return nil
		}, 0, 0},
		{"a join", parent, func(ctx context.Context, s *Server) error {
			_, err := s.Apply(ctx, sio.Join{To: toAll("/"), Rooms: []string{"r"}})
			return err
		}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, exporter := newServer(t)
			if err := tt.call(WithParent(t.Context(), tt.traceparent), s); (err != nil) != (tt.status == codes.Error) {
				t.Error(err)
			}
			spans := exporter.GetSpans()
			if len(spans) != tt.spans {
				t.Fatalf("got %d spans, want %d", len(spans), tt.spans)
			}
			for _, span := range spans {
				if span.Name != "fan-out" || span.Parent.TraceID().String() != parent[3:35] || span.Parent.SpanID().String() != parent[36:52] || span.Status.Code != tt.status {
					t.Errorf("got %+v", span)
				}
				if !has(span, attribute.String("fanoutd.event", "tick")) || !has(span, attribute.Int("fanoutd.matched", 0)) {
					t.Errorf("attributes %v", span.Attributes)
				}
			}
		})
	}
}

func callOf(namespace, id string) sio.AckRequest {
	to := sio.Target{Namespace: namespace, Selector: room.Selector{IDs: []string{id}}}
	return sio.AckRequest{Emit: sio.Emit{To: to, Event: "tick"}, Timeout: time.Minute}
}

// The span of a call ends with its outcome.
func TestCallSpans(t *testing.T) {
	s, exporter := newServer(t)
	l := wiretest.Listen()
	web := &http.Server{Handler: s}
	go web.Serve(l)
	defer web.Close()
	c, id := l.Connect(t, "")
	outcomes := make(chan sio.Outcome, 1)
	for i, want := range []struct {
		outcome  sio.Outcome
		answered int
		status   codes.Code
	}{{sio.Answered, 1, codes.Unset}, {sio.Canceled, 0, codes.Error}, {sio.Disconnected, 0, codes.Unset}} {
		cancel, err := s.Call(WithParent(t.Context(), parent), callOf("/", id), func(r sio.AckResult) { outcomes <- r.Outcome })
		if err != nil {
			t.Fatal(err)
		}
		c.Next()
		if n := len(exporter.GetSpans()); n != i {
			t.Errorf("%d spans have ended before call %d has", n, i)
		}
		switch want.outcome {
		case sio.Answered:
			c.Say("431[]")
		case sio.Canceled:
			cancel()
		case sio.Disconnected:
			c.Say("41")
		case sio.TimedOut:
		}
		if got := <-outcomes; got != want.outcome {
			t.Errorf("outcome %v, want %v", got, want.outcome)
		}
		span := exporter.GetSpans()[i]
		if span.Status.Code != want.status || !has(span, attribute.Int("fanoutd.matched", 1)) || !has(span, attribute.Int("fanoutd.answered", want.answered)) {
			t.Errorf("%v: %v, %v", want.outcome, span.Status, span.Attributes)
		}
	}
	c.Close()
}

func has(s tracetest.SpanStub, want attribute.KeyValue) bool {
	for _, a := range s.Attributes {
		if a == want {
			return true
		}
	}
	return false
}

func TestTraceparent(t *testing.T) {
	for _, tt := range []struct {
		name, in, out string
		sampled       bool
	}{
		{"sampled", parent, parent, true},
		{"not sampled", parent[:53] + "00", parent[:53] + "00", false},
		{"none", "", "", false},
		{"nonsense", "00-xyz", "", false},
		{"zeros", "00-00000000000000000000000000000000-0123456789abcdef-01", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Parent(WithParent(t.Context(), tt.in)); got != tt.out {
				t.Errorf("got %q, want %q", got, tt.out)
			}
			if got := Sampled(tt.out); got != tt.sampled {
				t.Errorf("sampled: %v", got)
			}
		})
	}
	if n := testing.AllocsPerRun(100, func() { Parent(WithParent(t.Context(), "")) }); n != 0 {
		t.Errorf("without a trace: %v allocations", n)
	}
}
