package tracing

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Scope names who makes spans.
const Scope = "github.com/fanoutd/fanoutd"

// Server is a sio.Server whose emits are spans "fan-out" of the trace that their
// caller's context belongs to; those of no trace, or of one that is not sampled, are none.
// A span has the number of connections that the event was queued for, and there is none for
// each of them.
type Server struct {
	*sio.Server
	tracer trace.Tracer
}

// NewServer returns s with spans by t.
func NewServer(s *sio.Server, t trace.Tracer) *Server { return &Server{s, t} }

// Apply is [sio.Server.Apply].
func (s *Server) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	o, ok := op.(sio.Emit)
	if !ok || !trace.SpanContextFromContext(ctx).IsSampled() {
		return s.Server.Apply(ctx, op)
	}
	ctx, span := s.start(ctx, &o)
	defer span.End()
	result, err := s.Server.Apply(ctx, op)
	ended(span, result.Matched, err)
	return result, err
}

// EmitWithAck is [sio.Server.EmitWithAck]. Its span lasts until the answers are there,
// or are not awaited any more.
func (s *Server) EmitWithAck(ctx context.Context, o sio.AckRequest, yield func(sio.AckResult) bool) (sio.AckSummary, error) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return s.Server.EmitWithAck(ctx, o, yield)
	}
	ctx, span := s.start(ctx, &o.Emit)
	defer span.End()
	summary, err := s.Server.EmitWithAck(ctx, o, yield)
	span.SetAttributes(attribute.Int("fanoutd.answered", summary.Answered))
	ended(span, summary.Expected, err)
	return summary, err
}

// Call is [sio.Server.Call]. Its span lasts until there is an outcome.
func (s *Server) Call(ctx context.Context, o sio.AckRequest, done func(sio.AckResult)) (cancel func(), err error) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return s.Server.Call(ctx, o, done)
	}
	ctx, span := s.start(ctx, &o.Emit)
	end := func(matched, answered int, err error) {
		span.SetAttributes(attribute.Int("fanoutd.answered", answered))
		ended(span, matched, err)
		span.End()
	}
	cancel, err = s.Server.Call(ctx, o, func(r sio.AckResult) {
		switch r.Outcome {
		case sio.Answered:
			end(1, 1, nil)
		case sio.Canceled:
			end(1, 0, context.Canceled)
		case sio.TimedOut, sio.Disconnected:
			end(1, 0, nil)
		}
		done(r)
	})
	switch {
	case errors.Is(err, sio.ErrNotFound):
		end(0, 0, nil)
	case err != nil:
		end(0, 0, err)
	}
	return cancel, err
}

func (s *Server) start(ctx context.Context, o *sio.Emit) (context.Context, trace.Span) {
	return s.tracer.Start(ctx, "fan-out", trace.WithAttributes(
		attribute.String("fanoutd.namespace", o.To.Namespace), attribute.String("fanoutd.event", o.Event),
	))
}

func ended(span trace.Span, matched int, err error) {
	span.SetAttributes(attribute.Int("fanoutd.matched", matched))
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
}
