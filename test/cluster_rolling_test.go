package test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	rollingClients     = 300
	rollingSoakClients = 3000
	// rollingPace is between two emits of a caller, to everybody.
	rollingPace = 250 * time.Millisecond
	// rollingInFlight is how long before the latest event that a client heard another may
	// have been sent, by another node, and be lost with the connection.
	rollingInFlight = time.Second
	// rollingSlow is how much longer some clients take to come back: longer than their node
	// takes to end.
	rollingSlow = 5 * time.Second
	// rollingMost is how long one node's restart may take until everybody is back.
	rollingMost = 2 * time.Minute
)

// TestClusterRollingRestart restarts three nodes, one after the other, while clients
// come and numbered emits go to everybody, from callers that ask any node: with recovery
// nobody misses one, and everybody is who it was; without it nobody misses more than what
// was sent while it was away. There are 300 clients; with SOAK=1 3,000; $ROLLING is another
// number: ROLLING=3000 go test -run RollingRestart -v ./test
func TestClusterRollingRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts processes; run without -short")
	}
	n := rollingNumber(t)
	path := binary(t.Context(), t)
	t.Run("with recovery", func(t *testing.T) {
		rollingRestart(t, path, path, n, true, "--recovery-window=2m", "--log-level=debug")
	})
	t.Run("without", func(t *testing.T) { rollingRestart(t, path, path, n, false) })
}

// rollingNumber is how many clients there are; the test runs beside others if they are few.
func rollingNumber(t *testing.T) int {
	t.Helper()
	n := rollingClients
	if os.Getenv("SOAK") != "" {
		n = rollingSoakClients
	} else {
		t.Parallel() // it mostly waits
	}
	if s := os.Getenv("ROLLING"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 3 {
			t.Fatalf("$ROLLING is %q, want a number from 3 on", s)
		}
	}
	needFiles(t, uint64(n+500))
	return n
}

// rollingRestart starts nodes of one binary, and replaces each by one of another.
func rollingRestart(t *testing.T, from, to string, number int, recovers bool, flags ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	listens := freeAddresses(t, 3)
	started := startNodesWith(ctx, t, from, listens, func(int) []string {
		return append([]string{"--cluster-peers=" + strings.Join(listens, ",")}, flags...)
	})
	r := &rolling{nodes: started}
	clients := make([]*rollingClient, number)
	running, stop := context.WithCancel(ctx)
	var coming, calling sync.WaitGroup
	for i := range clients {
		clients[i] = &rollingClient{rolling: r, next: i, slow: i%10 == 0, numbers: map[string][]int{}}
		coming.Go(func() { clients[i].run(running) })
	}
	defer coming.Wait()
	defer stop()
	everybodyIn := func() bool {
		for _, c := range clients {
			if !c.in.Load() {
				return false
			}
		}
		return true
	}
	eventually(ctx, t, "everybody is connected", everybodyIn)
	for i, c := range clients {
		c.mu.Lock()
		if c.returns != 0 || c.anew != 0 {
			t.Errorf("client %d was cut off at the start", i)
		}
		c.mu.Unlock()
	}
	callers := make([]*rollingCaller, 3)
	emitting, halt := context.WithCancel(ctx)
	defer halt()
	for i := range callers {
		callers[i] = &rollingCaller{rolling: r, name: fmt.Sprint("c", i), next: i}
		calling.Go(func() { callers[i].run(emitting, t) })
	}
	for i := range started {
		r.restart(ctx, t, i, to)
		eventually(ctx, t, "everybody is back", everybodyIn)
		time.Sleep(2 * time.Second) // of traffic
	}
	halt()
	calling.Wait()
	eventually(ctx, t, "everybody has the last emit that it was there for", func() bool {
		for _, c := range clients {
			if !c.has(callers) {
				return false
			}
		}
		return true
	})
	stop()
	coming.Wait()

	missed, returns, anew := 0, 0, 0
	for i, c := range clients {
		for _, fault := range c.faults {
			t.Errorf("client %d: %s", i, fault)
		}
		for _, caller := range callers {
			missed += c.judge(t, i, caller)
		}
		returns += c.returns
		anew += c.anew
	}
	emits, retries := 0, 0
	for _, c := range callers {
		emits += len(c.sent)
		retries += c.retries
	}
	t.Logf("%d clients came back %d times, %d of them as somebody new; %d emits to each, %d of them asked for more than once; %d were missed in all",
		number, returns+anew, anew, emits, retries, missed)
	if recovers && (missed > 0 || anew > 0) {
		t.Errorf("with recovery %d emits were missed, and %d times a client was somebody new", missed, anew)
	}
	if returns+anew < number || emits < 30 || !recovers && missed == 0 {
		t.Error("little is shown by that")
	}
}

// rolling is the nodes that there are at the moment.
type rolling struct {
	mu    sync.Mutex
	nodes []*clusterNode
}

// at returns the node that is the next for somebody.
func (r *rolling) at(i int) clusterNode {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *r.nodes[i%len(r.nodes)]
}

// restart ends a node by SIGTERM, and starts one of its name in its place.
func (r *rolling) restart(ctx context.Context, t *testing.T, i int, path string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, rollingMost)
	defer cancel()
	old := r.at(i)
	began := time.Now()
	if err := syscall.Kill(old.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := old.wait(ctx); err != nil {
		t.Fatalf("%s ended: %v", old.name, err)
	}
	took := time.Since(began)
	n := &clusterNode{name: old.name, flags: old.flags}
	n.start(ctx, t, path)
	r.mu.Lock()
	r.nodes[i] = n
	r.mu.Unlock()
	for j := range r.nodes {
		at := r.at(j)
		at.meets(ctx, t, len(r.nodes))
	}
	t.Logf("%s ended after %v, and is back after %v", n.name, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}

// rollingCaller emits numbers to everybody, each once, at any node that takes it.
type rollingCaller struct {
	rolling *rolling
	name    string
	next    int
	pace    time.Duration    // between two emits; 0: rollingPace
	to      *fanoutv1.Target // nil: everybody

	mu      sync.Mutex
	sent    []span // of each number, from 1
	retries int
}

// span is from when to when something happened.
type span struct{ from, to time.Time }

func (c *rollingCaller) run(ctx context.Context, t *testing.T) {
	for number := 1; ctx.Err() == nil; number++ {
		s := span{from: time.Now()}
		for try := 0; ; try++ {
			n := c.rolling.at(c.next)
			c.next++
			call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			res, err := n.emitter.Emit(call, &fanoutv1.EmitRequest{
				To: cmp.Or(c.to, toEverybody), Event: "numbered", ArgsJson: fmt.Sprintf("[%q,%d]", c.name, number), IdempotencyKey: fmt.Sprint(c.name, "-", number),
			})
			cancel()
			if err == nil {
				if res.GetPartial() {
					t.Errorf("%s %d: %v", c.name, number, res)
				}
				break
			}
			if try == 100 {
				t.Errorf("%s %d: %v", c.name, number, err)
				return
			}
			c.mu.Lock()
			c.retries++
			c.mu.Unlock()
			time.Sleep(50 * time.Millisecond)
		}
		s.to = time.Now()
		c.mu.Lock()
		c.sent = append(c.sent, s)
		c.mu.Unlock()
		select {
		case <-time.After(cmp.Or(c.pace, rollingPace)):
		case <-ctx.Done():
		}
	}
}
