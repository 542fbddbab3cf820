package otlp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/fanoutd/fanoutd/internal/tracing"
	"github.com/fanoutd/fanoutd/internal/tracing/otlp/otlptest"
)

func shutdown(p interface{ Shutdown(context.Context) error }) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return p.Shutdown(ctx)
}

// What is sampled reaches the collector with the name of the process, at the latest at
// the end; what a caller sampled, or did not, stays so.
func TestSpansReachTheCollector(t *testing.T) {
	const trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-0"
	for _, tt := range []struct {
		name   string
		parent string
		ratio  float64
		want   int
	}{
		{"begun here, all are sampled", "", 1, 1},
		{"begun here, none is sampled", "", 0, 0},
		{"of a caller that samples", trace + "1", 0, 1},
		{"of a caller that does not", trace + "0", 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := otlptest.Start(t)
			p, err := New(Options{Endpoint: c.URL, Ratio: tt.ratio, Node: "n1", Version: "1.2.3", Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			_, span := p.Tracer(tracing.Scope).Start(tracing.WithParent(t.Context(), tt.parent), "a span")
			span.End()
			if err := shutdown(p); err != nil {
				t.Error(err)
			}
			spans := c.Spans()
			if len(spans) != tt.want {
				t.Fatalf("got %d spans, want %d", len(spans), tt.want)
			}
			if tt.want == 0 {
				return
			}
			if spans[0].GetName() != "a span" {
				t.Errorf("got %v", spans[0])
			}
			attributes := map[string]string{}
			for _, a := range c.Resources()[0].GetResource().GetAttributes() {
				attributes[a.GetKey()] = a.GetValue().GetStringValue()
			}
			if attributes["service.name"] != "fanoutd" || attributes["service.version"] != "1.2.3" || attributes["service.instance.id"] != "n1" {
				t.Errorf("resource %v", attributes)
			}
		})
	}
}

// A collector that is away holds up neither those who make spans nor, for longer than
// they like, those who end.
func TestCollectorAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	p, err := New(Options{Endpoint: "http://" + address, Ratio: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tracer := p.Tracer(tracing.Scope)
	for range 10_000 { // more than are kept
		_, span := tracer.Start(t.Context(), "a span", trace.WithNewRoot())
		span.End()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Shutdown(ctx); err == nil {
		t.Error("Shutdown says that all was sent")
	}
}

// Failures are logged once a minute.
func TestReporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := newReporter(slog.New(slog.NewTextHandler(&log, nil)))
		for range 120 {
			r.Handle(errors.New("away"))
			time.Sleep(time.Second)
		}
		if n := strings.Count(log.String(), "traces are not sent"); n != 2 {
			t.Errorf("%d lines in two minutes:\n%s", n, &log)
		}
	})
}
