package test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// balancerChecks is how often a balancer asks a node whether it is ready.
const balancerChecks = 50 * time.Millisecond

// balancer sends each connection to the node, of those that say that they are ready, which
// it has sent the fewest that are still there. It knows nothing of sessions.
type balancer struct {
	address string

	mu         sync.Mutex
	nodes      []*balanced
	handshakes []time.Time // of requests for new sessions
}

// balanced is a node as its balancer knows it.
type balanced struct {
	listen, ops string
	ready       bool
	connections int
}

// startBalancer runs a balancer, of no node yet, until the test ends.
func startBalancer(t *testing.T) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{address: l.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { stop(); _ = l.Close(); running.Wait() })
	running.Go(func() { b.check(ctx) })
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { b.serve(ctx, client) })
		}
	})
	return b
}

// add has the balancer send connections to a node too.
func (b *balancer) add(n *clusterNode) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, &balanced{listen: n.listen, ops: n.ops, ready: true})
}

func (b *balancer) check(ctx context.Context) {
	tick := time.NewTicker(balancerChecks)
	defer tick.Stop()
	client := http.Client{Timeout: 20 * balancerChecks}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		b.mu.Lock()
		nodes := b.nodes[:len(b.nodes):len(b.nodes)]
		b.mu.Unlock()
		for _, n := range nodes {
			res, err := client.Get("http://" + n.ops + "/readyz")
			if err == nil {
				_ = res.Body.Close()
			}
			b.mu.Lock()
			n.ready = err == nil && res.StatusCode == http.StatusOK
			b.mu.Unlock()
		}
	}
}

// choose returns the node for a connection, nil if none is ready.
func (b *balancer) choose() (least *balanced) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.nodes {
		if n.ready && (least == nil || n.connections < least.connections) {
			least = n
		}
	}
	if least != nil {
		least.connections++
	}
	return least
}

func (b *balancer) left(n *balanced) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n.connections--
}

// serve passes on what a client and a node say to each other, until either goes.
func (b *balancer) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	first := bufio.NewReaderSize(client, 1<<10)
	line, err := first.ReadString('\n')
	if err != nil {
		return
	}
	if !strings.Contains(line, "sid=") {
		b.mu.Lock()
		b.handshakes = append(b.handshakes, time.Now())
		b.mu.Unlock()
	}
	at := b.choose()
	if at == nil {
		return
	}
	defer b.left(at)
	node, err := net.Dial("tcp", at.listen)
	if err != nil {
		return
	}
	defer node.Close()
	defer context.AfterFunc(ctx, func() { _ = client.Close(); _ = node.Close() })()
	read, _ := first.Peek(first.Buffered()) // that much is there
	if _, err := io.WriteString(node, line+string(read)); err != nil {
		return
	}
	up := make(chan struct{})
	go func() {
		defer close(up)
		pass(node, client)
		_ = node.Close()
	}()
	pass(client, node)
	_ = client.Close()
	<-up
}

// pass copies until either ends. It has a buffer of its own: the pipe that io.Copy would
// have the kernel use takes two descriptors more.
func pass(to, from net.Conn) {
	buffer := make([]byte, 1<<10)
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buffer) // an error is an end
}

// handshakesSince returns when new sessions were asked for since then, in order.
func (b *balancer) handshakesSince(since time.Time) []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, at := range b.handshakes {
		if at.After(since) {
			return b.handshakes[i:len(b.handshakes):len(b.handshakes)]
		}
	}
	return nil
}

// most returns how many of these moments, which are in order, lie within a window of this
// length at most.
func most(moments []time.Time, window time.Duration) (n int) {
	from := 0
	for i, at := range moments {
		for at.Sub(moments[from]) >= window {
			from++
		}
		n = max(n, i-from+1)
	}
	return n
}
