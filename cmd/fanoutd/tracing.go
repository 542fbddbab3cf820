package main

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/control/api"
	"github.com/fanoutd/fanoutd/internal/ops"
	"github.com/fanoutd/fanoutd/internal/tracing"
	"github.com/fanoutd/fanoutd/internal/tracing/otlp"
)

// newTraces returns what makes and sends spans, nil if no settings ask for them.
func newTraces(c *config, version string, log *slog.Logger) (*sdktrace.TracerProvider, error) {
	if c.operations.otlpEndpoint == "" {
		return nil, nil //nolint:nilnil // documented
	}
	return otlp.New(otlp.Options{
		Endpoint: c.operations.otlpEndpoint, Ratio: c.operations.sampleRatio, Node: c.cluster.node, Version: version, Logger: log,
	})
}

// tracer makes spans; nil: there are none.
func (d *daemon) tracer() trace.Tracer {
	if d.traces == nil {
		return nil
	}
	return d.traces.Tracer(tracing.Scope)
}

// server is this node's server, with spans where they are asked for.
func (d *daemon) server() cluster.Server {
	if d.traces == nil {
		return d.sockets
	}
	return tracing.NewServer(d.sockets, d.tracer())
}

// callTraces has calls of the control API traced.
func (d *daemon) callTraces() *api.Traces {
	if d.traces == nil {
		return nil
	}
	return &api.Traces{Provider: d.traces, Propagator: propagation.TraceContext{}}
}

// flushTraces sends the spans that are left.
func (d *daemon) flushTraces(ctx context.Context) {
	if d.traces == nil {
		return
	}
	if err := d.traces.Shutdown(ctx); err != nil {
		d.log.Warn("the last traces are not sent", "error", err)
	}
}

// calls counts the calls of the control API.
func (d *daemon) calls() []ops.Calls {
	var all []ops.Calls
	for _, c := range d.backends.calls.Calls() {
		all = append(all, ops.Calls(c))
	}
	return all
}
