package test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// TestClusterKeys: an emit with an idempotency key is sent once, whichever node its
// retries ask, and after a node was killed and is back as well.
func TestClusterKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a process and starts it again; run without -short")
	}
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	path := binary(ctx, t)
	nodes := startNodes(ctx, t, path, 3)
	const keys = 30
	emit := func(n *clusterNode, i int) (*fanoutv1.EmitResponse, error) {
		return n.emitter.Emit(ctx, &fanoutv1.EmitRequest{To: toEverybody, Event: "e", IdempotencyKey: fmt.Sprint("key-", i)})
	}
	for i := range keys {
		for retry := range 3 {
			res, err := emit(nodes[(i+retry)%3], i)
			if err != nil || res.GetDuplicate() != (retry > 0) {
				t.Fatalf("key %d, retry %d: %v, %v", i, retry, res, err)
			}
		}
	}
	if err := syscall.Kill(nodes[2].pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-nodes[2].ended
	nodes[2].ended <- nil // it was meant
	retry := func(n *clusterNode, i int, known int) int {
		switch res, err := emit(n, i); {
		case status.Code(err) == codes.Unavailable: // nothing was sent
		case err != nil || !res.GetDuplicate():
			t.Fatalf("key %d at %s: %v, %v; want a duplicate", i, n.name, res, err)
		default:
			return known + 1
		}
		return known
	}
	known := 0
	for i := range keys {
		known = retry(nodes[i%2], i, known)
	}
	if known == 0 || known == keys {
		t.Errorf("%d of %d keys were known after a node was killed: it shows nothing", known, keys)
	}
	nodes[2].start(ctx, t, path)
	for _, n := range nodes {
		n.meets(ctx, t, 3)
		eventually(ctx, t, n.name+" knows all keys", func() bool {
			known := 0
			for i := range keys {
				known = retry(n, i, known)
			}
			return known == keys
		})
	}
}
