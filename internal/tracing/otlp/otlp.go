// Package otlp sends spans to a collector by OTLP over gRPC.
package otlp

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"golang.org/x/time/rate"
)

// Options say where spans go, and which there are.
type Options struct {
	// Endpoint is the collector's URL: http://HOST:PORT is plain text, https://HOST:PORT TLS.
	Endpoint string
	// Ratio is the part of the traces that begin here which are sampled, from 0 to 1.
	// Those that a caller began are sampled as the caller says.
	Ratio float64
	// Node and Version are what spans say of this process.
	Node, Version string
	// Logger hears why spans could not be sent, at most once a minute. Default: slog.Default().
	Logger *slog.Logger
}

// New returns a provider of tracers whose spans are sent in the background, some
// seconds late. What the collector does not take is dropped: nothing waits for it.
// The caller owes a Shutdown, which sends what is left.
func New(o Options) (*sdktrace.TracerProvider, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	exporter, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpointURL(o.Endpoint))
	if err != nil {
		return nil, err
	}
	otel.SetErrorHandler(newReporter(o.Logger))
	return sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Ratio))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "fanoutd"),
			attribute.String("service.version", o.Version),
			attribute.String("service.instance.id", o.Node),
		)),
	), nil
}

// reporter logs errors of OpenTelemetry, at most one a minute.
type reporter struct {
	log   *slog.Logger
	lines rate.Sometimes
}

func newReporter(log *slog.Logger) *reporter {
	return &reporter{log: log, lines: rate.Sometimes{Interval: time.Minute}}
}

// Handle implements otel.ErrorHandler.
func (r *reporter) Handle(err error) {
	r.lines.Do(func() { r.log.Warn("traces are not sent", "error", err) })
}
