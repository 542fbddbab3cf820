// Package otlptest is a collector of OpenTelemetry traces, for tests.
package otlptest

import (
	"context"
	"net"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Collector takes spans by OTLP over gRPC and keeps them. It ends with its test.
type Collector struct {
	collectorv1.UnimplementedTraceServiceServer
	URL string // of its endpoint, on loopback

	mu    sync.Mutex
	spans []*tracev1.ResourceSpans
}

// Start starts a collector.
func Start(t testing.TB) *Collector {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{URL: "http://" + l.Addr().String()}
	s := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(s, c)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Export implements the service.
func (c *Collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, r.GetResourceSpans()...)
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// Resources returns what has arrived, by the process that it is of.
func (c *Collector) Resources() []*tracev1.ResourceSpans {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*tracev1.ResourceSpans(nil), c.spans...)
}

// Spans returns all spans that have arrived.
func (c *Collector) Spans() []*tracev1.Span {
	var all []*tracev1.Span
	for _, r := range c.Resources() {
		for _, s := range r.GetScopeSpans() {
			all = append(all, s.GetSpans()...)
		}
	}
	return all
}
