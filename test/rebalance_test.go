package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	rebalanceClients     = 150
	rebalanceSoakClients = 3000
	rebalanceTime        = 10 * time.Second
	rebalanceSoakTime    = time.Minute
	// rebalanceWithin is how far from the mean a node may be in the end.
	rebalanceWithin = 0.10
)

// TestRebalance: three nodes become five, while numbered emits go to all clients; then
// Rebalance gives each node its share, within a tenth, and no client misses an emit or is
// somebody new. There are 150 clients; with SOAK=1 3,000.
func TestRebalance(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	number, over := rebalanceClients, rebalanceTime
	if os.Getenv("SOAK") != "" {
		number, over = rebalanceSoakClients, rebalanceSoakTime
	} else {
		t.Parallel() // it mostly waits
	}
	needFiles(t, uint64(3*number+500)) // the balancer has two for each
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	path := binary(ctx, t)
	listens := freeAddresses(t, 5)
	flags := []string{"--cluster-peers=" + strings.Join(listens, ","), "--recovery-window=2m"}
	nodes := startNodesWith(ctx, t, path, listens[:3], func(int) []string { return flags })
	front := startBalancer(t)
	for _, n := range nodes {
		front.add(n)
	}
	l := startLoad(ctx, t, front, nodes, number)
	defer l.stop()
	for i, listen := range listens[3:] {
		n := &clusterNode{name: fmt.Sprint("n", i+4), flags: append([]string{"--node-name=" + fmt.Sprint("n", i+4), "--cluster-listen=" + listen}, flags...)}
		n.start(ctx, t, path)
		front.add(n)
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.meets(ctx, t, len(nodes))
	}

	stream, err := nodes[3].admin.Rebalance(ctx, &fanoutv1.RebalanceRequest{Time: durationpb.New(over)})
	if err != nil {
		t.Fatal(err)
	}
	var first, last *fanoutv1.RebalanceResponse
	closing := 0
	for {
		at, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %v: %v", last, err)
		}
		if first == nil {
			first = at
		}
		last = at
		for _, n := range at.GetNodes() {
			closing += int(n.GetClosing())
		}
	}
	returns := l.finish(ctx, t)
	t.Logf("from %v to %v: %d sessions were to be closed, %d came back", first.GetNodes(), last.GetNodes(), closing, returns)
	if !last.GetEven() || len(last.GetUnreachable()) > 0 || len(last.GetNodes()) != len(nodes) {
		t.Errorf("the end: %v, want five even nodes", last)
	}
	mean := float64(number) / float64(len(nodes))
	for _, n := range last.GetNodes() {
		if have := float64(n.GetSessions()); have < (1-rebalanceWithin)*mean || have > (1+rebalanceWithin)*mean {
			t.Errorf("%s has %v sessions, want %v within a tenth", n.GetName(), have, mean)
		}
	}
	if returns == 0 || returns > number {
		t.Errorf("%d times a client came back, want each of %d once at most", returns, number)
	}
}
