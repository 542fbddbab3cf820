package test

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// controlConn is a connection to the control API.
func (s *siege) controlConn() *grpc.ClientConn {
	s.Helper()
	return s.strangers(1)[0]
}

// exceedControlRequest sends a request of 100 MB, on its own and in a stream.
func exceedControlRequest(s *siege, most uint32) {
	conn := s.controlConn()
	info, err := fanoutv1.NewAdminServiceClient(conn).GetServerInfo(s.ctx, &fanoutv1.GetServerInfoRequest{})
	if got := info.GetLimits().GetMaxRequestBytes(); got != most || err != nil {
		s.Errorf("limits.max_request_bytes is %d, want %d: %v", got, most, err)
	}
	emitter := fanoutv1.NewEmitterServiceClient(conn)
	large := &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e", ArgsJson: `["` + strings.Repeat("x", 100_000_000) + `"]`}
	if _, err := emitter.Emit(s.ctx, large); status.Code(err) != codes.ResourceExhausted {
		s.Errorf("Emit of 100 MB: %v, want RESOURCE_EXHAUSTED", err)
	}
	stream, err := emitter.EmitStream(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	_ = stream.Send(&fanoutv1.EmitStreamRequest{Sequence: 1, Emit: large}) // what became of it is told by Recv
	if _, err := stream.Recv(); status.Code(err) != codes.ResourceExhausted {
		s.Errorf("100 MB in an EmitStream: %v, want RESOURCE_EXHAUSTED", err)
	}
	// Packed it is small, and is not let in either.
	if _, err := emitter.Emit(s.ctx, large, grpc.UseCompressor(gzip.Name)); status.Code(err) != codes.ResourceExhausted {
		s.Errorf("Emit of 100 MB, compressed: %v, want RESOURCE_EXHAUSTED", err)
	}
	small := &fanoutv1.EmitRequest{To: large.GetTo(), Event: "e", ArgsJson: `["` + strings.Repeat("x", 500_000) + `"]`}
	if _, err := emitter.Emit(s.ctx, small); err != nil {
		s.Errorf("Emit of 500 kB: %v", err)
	}
}

// exceedControlConnections has more backends connect than there are places: the one too many
// is closed, and comes in when another has left.
func exceedControlConnections(s *siege, most int) {
	call := func(conn *grpc.ClientConn, o ...grpc.CallOption) error {
		_, err := fanoutv1.NewAdminServiceClient(conn).GetServerInfo(s.ctx, &fanoutv1.GetServerInfoRequest{}, o...)
		return err
	}
	conns := s.strangers(most + 1)
	for _, conn := range conns[:most] {
		if err := call(conn); err != nil {
			s.Fatal(err)
		}
	}
	if err := call(conns[most]); status.Code(err) != codes.Unavailable {
		s.Errorf("a call by one connection too many: %v, want UNAVAILABLE", err)
	}
	if n := s.metrics()[`fanoutd_control_connections_closed_total{reason="control-max-connections"}`]; n == 0 {
		s.Error("no metric counts the connection that was closed")
	}
	if err := conns[0].Close(); err != nil {
		s.Error(err)
	}
	if err := call(conns[most], grpc.WaitForReady(true)); err != nil {
		s.Errorf("once there is room again: %v", err)
	}
}

// exceedControlStreams has one connection begin more calls than it may: the next one waits
// until one has ended.
func exceedControlStreams(s *siege, most int) {
	emitter := fanoutv1.NewEmitterServiceClient(s.controlConn())
	emit := func(ctx context.Context) error {
		_, err := emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e"})
		return err
	}
	if err := emit(s.ctx); err != nil { // the limit comes with the daemon's first words
		s.Fatal(err)
	}
	end := func() {}
	for range most {
		ctx, cancel := context.WithCancel(s.ctx)
		s.Cleanup(cancel)
		if _, err := emitter.EmitStream(ctx); err != nil {
			s.Fatal(err)
		}
		end = cancel
	}
	waiting, cancel := context.WithTimeout(s.ctx, time.Second)
	defer cancel()
	if err := emit(waiting); status.Code(err) != codes.DeadlineExceeded {
		s.Errorf("a call beyond the bound: %v, want that it waits", err)
	}
	end()
	if err := emit(s.ctx); err != nil {
		s.Errorf("once there is room again: %v", err)
	}
}
