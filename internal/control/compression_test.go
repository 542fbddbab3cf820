package control

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Many clients compress by default.
func TestCompressedCalls(t *testing.T) {
	hub := newMemHub()
	_, conn := dial(t, hub, Options{})
	c := fanoutv1.NewEmitterServiceClient(conn)
	args := func(n int) string { return `["` + strings.Repeat("x", n) + `"]` }
	_, err := c.Emit(t.Context(), &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: args(1000)}, grpc.UseCompressor("gzip"))
	if err != nil || len(hub.emits()) != 1 || string(hub.emits()[0].Args) != args(1000) {
		t.Errorf("got %v with %d emits applied", err, len(hub.emits()))
	}
	// A small message does not become a large one than is let in otherwise.
	_, err = c.Emit(t.Context(), &fanoutv1.EmitRequest{To: toAll(), Event: "e", ArgsJson: args(maxRequestBytes)}, grpc.UseCompressor("gzip"))
	if status.Code(err) != codes.ResourceExhausted || hub.applied() != 1 {
		t.Errorf("too large: got %v, want RESOURCE_EXHAUSTED", err)
	}
}
