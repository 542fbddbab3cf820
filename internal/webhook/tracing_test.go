package webhook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// Each request is a span of its event's trace, which the endpoint is told of; so is what its
// answer asks for.
func TestTraces(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter)).Tracer("test")
	inTracedWorld(t, tracer, dispatch.Options{Tracer: tracer}, func(w http.ResponseWriter, e *fanoutv1.Event) {
		if e.GetAttempt() == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(`{"operations":[{"emit":{"to":{"all":true},"event":"hello"}}]}`))
	}, func(w *world) {
		c, _ := w.browsers.Connect(t, "")
		c.Say(`42["e"]`)
		if got := c.Next(); got != `42["hello"]` {
			t.Errorf("the browser got %s", got)
		}
		c.Idle()
		time.Sleep(time.Second)
		came := w.endpoint.came()
		spans := exporter.GetSpans()
		var of []tracetest.SpanStub
		var event, fanOut tracetest.SpanStub
		for _, s := range spans {
			switch s.Name {
			case "webhook":
				of = append(of, s)
			case "event":
				event = s
			case "fan-out":
				fanOut = s
			}
		}
		if len(of) != 2 || len(came) != 2 {
			t.Fatalf("%d spans of %d requests", len(of), len(came))
		}
		for i, s := range of {
			if s.Parent.SpanID() != event.SpanContext.SpanID() || s.SpanKind != trace.SpanKindClient {
				t.Errorf("the span %+v is not of the event %+v", s, event)
			}
			for _, name := range []string{"Traceparent", "Ce-Traceparent"} {
				if got := came[i].header.Get(name); !strings.Contains(got, s.SpanContext.SpanID().String()) {
					t.Errorf("%s is %q, the span %s", name, got, s.SpanContext.SpanID())
				}
			}
		}
		if of[0].Status.Description == "" || of[1].Status.Description != "" {
			t.Errorf("they end with %+v and %+v", of[0].Status, of[1].Status)
		}
		if fanOut.Parent.SpanID() != of[1].SpanContext.SpanID() {
			t.Errorf("the emit %+v is not of the request %+v", fanOut, of[1])
		}
		c.Close()
	})
}
