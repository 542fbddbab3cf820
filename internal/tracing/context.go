package tracing

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// header is where trace context stands in what a propagator reads and writes
// (W3C Trace Context).
const header = "traceparent"

// carrier is the header of one message.
type carrier struct{ traceparent string }

var _ propagation.TextMapCarrier = (*carrier)(nil)

// Get implements propagation.TextMapCarrier.
func (c *carrier) Get(key string) string {
	if key == header {
		return c.traceparent
	}
	return ""
}

// Set implements propagation.TextMapCarrier.
func (c *carrier) Set(key, value string) {
	if key == header {
		c.traceparent = value
	}
}

// Keys implements propagation.TextMapCarrier.
func (c *carrier) Keys() []string { return []string{header} }

// Parent returns the trace context of ctx's span as a traceparent header has it;
// empty: there is no span.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return c.traceparent
}

// Sampled reports whether the trace is sampled that a traceparent header of ours names: no
// span below one that is not sampled is. Empty: it is not.
func Sampled(traceparent string) bool {
	n := len(traceparent)
	return n > 0 && strings.IndexByte("13579bdf", traceparent[n-1]) >= 0 // the lowest bit of the flags
}

// WithParent returns ctx with the span that a traceparent header names, of another
// process; ctx as it is if the header is empty or names none.
func WithParent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, &carrier{traceparent})
}
