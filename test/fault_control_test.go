package test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// strangers opens n connections to the control API without a key.
func (s *siege) strangers(n int) []*grpc.ClientConn {
	s.Helper()
	conns := make([]*grpc.ClientConn, n)
	for i := range conns {
		conn, err := grpc.NewClient("passthrough:///"+s.control, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { _ = conn.Close() })
		conns[i] = conn
	}
	return conns
}

// begin begins a call whose request never ends, and returns what it is answered.
func begin(ctx context.Context, conn *grpc.ClientConn, method string, req any) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(req) // an error is told by what follows
	return stream.RecvMsg(&emptypb.Empty{})
}

// TestFaultControlStrangers: who has no key is refused by the headers of a call. What comes
// behind them, some of it large and none of it ended, the daemon does not hold.
func TestFaultControlStrangers(t *testing.T) {
	if testing.Short() {
		t.Skip("sends hundreds of MB; run without -short")
	}
	needLinux(t)
	s := besiege(t, binary(t.Context(), t), "--control-key="+controlKey)
	conns := s.strangers(4)
	large := &fanoutv1.EmitRequest{Event: "e", ArgsJson: strings.Repeat("x", 4<<20)}
	err := swarm(64, 64, func(i int) error {
		for range 4 {
			err := begin(s.ctx, conns[i%len(conns)], fanoutv1.EmitterService_Emit_FullMethodName, large)
			if status.Code(err) != codes.Unauthenticated {
				return fmt.Errorf("a call without a key was answered %v, want UNAUTHENTICATED", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	s.lift(smallGrowth)
}
