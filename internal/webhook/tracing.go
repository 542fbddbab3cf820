package webhook

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// traced returns ctx with the trace of the event, to which the operations of the answer
// belong too, and begins the span "webhook" of the request in it, if it is sampled. end ends
// it, with why the event was not handled, nil: it was.
func (m *member) traced(ctx context.Context, e *fanoutv1.Event) (of context.Context, end func(error)) {
	if e.GetTraceparent() == "" {
		return ctx, func(error) {}
	}
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": e.GetTraceparent()})
	if m.server.options.Tracer == nil || !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, func(error) {}
	}
	ctx, span := m.server.options.Tracer.Start(ctx, "webhook", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("fanoutd.group", m.endpoint.Group),
		attribute.String("fanoutd.delivery", e.GetDeliveryId()),
		attribute.Int("fanoutd.attempt", int(e.GetAttempt())),
		attribute.String("url.full", m.address),
	))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, plain(err).Error())
		}
		span.End()
	}
}

// setTrace sets the headers that name the span that the request belongs to, if there is one.
func setTrace(ctx context.Context, h http.Header) {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	if t := carrier["traceparent"]; t != "" {
		h.Set("Traceparent", t)
		h.Set("Ce-Traceparent", t)
	}
}
