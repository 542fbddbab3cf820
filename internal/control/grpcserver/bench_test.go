package grpcserver

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/h2split"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// deafHub takes operations and does nothing, so that what is measured is the
// way to it.
type deafHub struct{ control.Hub }

func (deafHub) Apply(context.Context, sio.Op) (sio.Result, error) { return sio.Result{Matched: 1}, nil }

// dialTCP is dial over loopback.
func dialTCP(b *testing.B, hub control.Hub) *grpc.ClientConn {
	b.Helper()
	return dialThrough(b, hub, func(l net.Listener) net.Listener { return l })
}

// dialThrough is dialTCP to a listener on top of another.
func dialThrough(b *testing.B, hub control.Hub, on func(net.Listener) net.Listener) *grpc.ClientConn {
	b.Helper()
	s := New(control.New(hub, control.Options{Logger: slog.New(slog.DiscardHandler)}), authenticator(b), Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = s.Serve(on(l)) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = conn.Close()
		_ = s.Shutdown(context.Background())
	})
	return conn
}

// benchEmit is a small event as a fast publisher writes it.
func benchEmit() *fanoutv1.EmitRequest {
	return &fanoutv1.EmitRequest{
		To:       &fanoutv1.Target{Rooms: []string{"some room"}},
		Event:    "tick",
		ArgsJson: `[{"symbol":"ABCD","price":"1234.5600","size":100}]`,
	}
}

// BenchmarkEmit and BenchmarkEmitStream send the same event over one
// connection, one call after the other and as a stream that is read to its
// end. The contract promises that the stream is at least ten times as fast.
func BenchmarkEmit(b *testing.B) { benchmarkEmit(b, dialTCP(b, deafHub{})) }

// BenchmarkEmitOnePort is BenchmarkEmit at a port that HTTP has too.
func BenchmarkEmitOnePort(b *testing.B) {
	benchmarkEmit(b, dialThrough(b, deafHub{}, func(l net.Listener) net.Listener {
		return h2split.Listen(l, h2split.Options{Timeout: time.Minute}).HTTP2()
	}))
}

func benchmarkEmit(b *testing.B, conn *grpc.ClientConn) {
	c := fanoutv1.NewEmitterServiceClient(conn)
	req := benchEmit()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Emit(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEmitStream(b *testing.B) {
	c := fanoutv1.NewEmitterServiceClient(dialTCP(b, deafHub{}))
	b.ReportAllocs()
	b.ResetTimer()
	answers := benchEmitStream(b, c, b.N)
	b.ReportMetric(float64(b.N)/float64(answers), "items/ack")
}
