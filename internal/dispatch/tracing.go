package dispatch

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/fanoutd/fanoutd/internal/tracing"
)

// eventSpan is what the spans of events have in common: not made anew for each.
var eventSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}

// traced runs publish, which queues e, as a span "event" of a trace of its own, and
// leaves with e what its deliveries belong to.
func (d *Dispatcher) traced(e *Event, publish func()) {
	if d.opts.Tracer == nil {
		publish()
		return
	}
	ctx, span := d.opts.Tracer.Start(context.Background(), "event", eventSpan...)
	defer span.End()
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("fanoutd.namespace", e.Namespace),
			attribute.String("fanoutd.event", e.Name),
			attribute.String("fanoutd.connection", e.ConnectionID),
			attribute.Int64("fanoutd.sequence", int64(e.Sequence)), //nolint:gosec // it counts one connection's events
		)
	}
	e.Traceparent = tracing.Parent(ctx)
	publish()
}

// tracedDelivery is a delivery that a consumer has settled, of an event that is traced.
type tracedDelivery struct {
	event    *Event
	attempt  uint32
	consumer string
	began    time.Time
}

// deliveryLocked describes the delivery of an item that is in flight; nil: it is not traced, or
// not sampled.
func (q *queue) deliveryLocked(it *item) *tracedDelivery {
	if !tracing.Sampled(it.event.Traceparent) {
		return nil
	}
	return &tracedDelivery{event: it.event, attempt: it.attempt, consumer: it.consumer, began: q.group.dispatcher.began.Add(it.delivered)}
}

// traceDelivery makes the span "delivery" of f, which has just ended; nil: there is none.
// It is called under no lock.
func (s *Subscription) traceDelivery(f *tracedDelivery, outcome string) {
	t := s.group.dispatcher.opts.Tracer
	if f == nil || t == nil {
		return
	}
	_, span := t.Start(tracing.WithParent(context.Background(), f.event.Traceparent), "delivery",
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithTimestamp(f.began), trace.WithAttributes(
			attribute.String("fanoutd.group", s.group.name),
			attribute.String("fanoutd.consumer", f.consumer),
			attribute.String("fanoutd.delivery", f.event.ID()),
			attribute.Int("fanoutd.attempt", int(f.attempt)),
			attribute.String("fanoutd.outcome", outcome),
		))
	span.End()
}
