package grpcserver

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Many clients compress by default.
func TestCompressedCalls(t *testing.T) {
	hub := &fakeHub{}
	_, conn := dial(t, hub, control.Options{})
	c := fanoutv1.NewEmitterServiceClient(conn)
	args := func(n int) string { return `["` + strings.Repeat("x", n) + `"]` }
	_, err := c.Emit(t.Context(), &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: args(1000)}, grpc.UseCompressor("gzip"))
	if ops := hub.applied(); err != nil || len(ops) != 1 || string(ops[0].(sio.Emit).Args) != args(1000) {
		t.Errorf("got %v with %d emits applied", err, len(ops))
	}
	// A small message does not become a large one than is let in otherwise.
	_, err = c.Emit(t.Context(), &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: args(control.DefaultMaxRequest)}, grpc.UseCompressor("gzip"))
	if status.Code(err) != codes.ResourceExhausted || len(hub.applied()) != 1 {
		t.Errorf("too large: got %v, want RESOURCE_EXHAUSTED", err)
	}
}
