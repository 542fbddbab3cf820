package api

import (
	"slices"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/stats"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Traces says how calls are traced.
type Traces struct {
	Provider   trace.TracerProvider
	Propagator propagation.TextMapPropagator // reads what callers say of their traces
}

// Handler is gRPC's part in that; another transport tells it of each call's begin and end.
func (t *Traces) Handler() stats.Handler {
	return otelgrpc.NewServerHandler(
		otelgrpc.WithTracerProvider(t.Provider), otelgrpc.WithPropagators(t.Propagator),
		otelgrpc.WithMeterProvider(noop.NewMeterProvider()), // CallCounter counts
		otelgrpc.WithFilter(func(info *stats.RPCTagInfo) bool { return slices.Contains(traced, info.FullMethodName) }),
	)
}

// traced are the methods whose calls do something and end.
var traced = []string{
	fanoutv1.EmitterService_Emit_FullMethodName,
	fanoutv1.EmitterService_EmitBatch_FullMethodName,
	fanoutv1.EmitterService_EmitWithAck_FullMethodName,
	fanoutv1.EmitterService_Call_FullMethodName,
	fanoutv1.EventService_Reply_FullMethodName,
	fanoutv1.EventService_Publish_FullMethodName,
}
