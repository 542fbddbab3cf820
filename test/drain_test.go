package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	drainClients     = 300
	drainSoakClients = 5000
	// drainDelay is for the balancer to learn that the node is not ready any more.
	drainDelay = time.Second
	// drainTime is how long the sessions take to be closed.
	drainTime     = 12 * time.Second
	drainSoakTime = time.Minute
	// drainPeak is how much faster than they are closed clients may come back. Rates are
	// counted over a quarter of the shorter time, which a machine that stands still for a
	// moment does not upset; clients that come back at once are four times as many.
	drainPeak   = 1.5
	drainWindow = drainTime / 4
)

// TestDrainUnderLoad drains the node that all clients are connected to, behind a balancer
// which knows another, while numbered emits go to everybody: all come back by themselves,
// about as fast as the drain's pace says, as who they were; nobody misses an emit; the
// node's process ends with exit code 0. There are 300 clients; with SOAK=1 5,000; $DRAIN is
// another number: DRAIN=5000 go test -run DrainUnderLoad -v ./test
func TestDrainUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	number, over := drainClients, drainTime
	if os.Getenv("SOAK") != "" {
		number, over = drainSoakClients, drainSoakTime
	} else {
		t.Parallel() // it mostly waits
	}
	if s := os.Getenv("DRAIN"); s != "" {
		var err error
		if number, err = strconv.Atoi(s); err != nil || number < 100 {
			t.Fatalf("$DRAIN is %q, want a number from 100 on", s)
		}
	}
	needFiles(t, uint64(3*number+500)) // the balancer has two for each
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	listens := freeAddresses(t, 2)
	nodes := startNodesWith(ctx, t, binary(ctx, t), listens, func(int) []string {
		return []string{"--cluster-peers=" + strings.Join(listens, ","), "--recovery-window=2m", "--grace=20s"}
	})
	front := startBalancer(t)
	front.add(nodes[0])

	l := startLoad(ctx, t, front, nodes, number)
	defer l.stop()
	front.add(nodes[1])
	began := time.Now()
	stream, err := nodes[0].admin.Drain(ctx, &fanoutv1.DrainRequest{Delay: durationpb.New(drainDelay), Time: durationpb.New(over)})
	if err != nil {
		t.Fatal(err)
	}
	var last *fanoutv1.DrainResponse
	for {
		at, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %v: %v", last, err)
		}
		last = at
	}
	if last.GetPhase() != fanoutv1.DrainResponse_DONE || last.GetSessions() != 0 || int(last.GetClosed()) != number {
		t.Errorf("the drain's end: %v, want it done, with %d sessions closed", last, number)
	}
	if err := nodes[0].wait(ctx); err != nil {
		t.Errorf("the node that was drained ended with %v", err)
	}
	returns := l.finish(ctx, t)
	if returns != number {
		t.Errorf("%d times a client came back, want each of %d once", returns, number)
	}
	handshakes := front.handshakesSince(began)
	pace := float64(number) * drainWindow.Seconds() / over.Seconds()
	peak := most(handshakes, drainWindow)
	t.Logf("%d clients were closed over %v and came back with %d handshakes, %d of them within %v, %.2f times the pace; %d within one second, %.2f times",
		number, over, len(handshakes), peak, drainWindow, float64(peak)/pace,
		most(handshakes, time.Second), float64(most(handshakes, time.Second))*over.Seconds()/float64(number))
	if float64(peak) > drainPeak*pace {
		t.Errorf("%d clients came back within %v, want %.0f at most", peak, drainWindow, drainPeak*pace)
	}
}

// loadPace is the least time between two emits of a caller, for each client: so that the
// machine, on which the clients run too, is not what is tested.
const loadPace = 500 * time.Microsecond

// load is clients that come back, and callers whose numbered emits go to all of them.
type load struct {
	clients []*rollingClient
	callers []*rollingCaller
	halt    context.CancelFunc // of the callers
	stop    func()             // of everything
	calling sync.WaitGroup
}

// startLoad connects the clients to the balancer, and has three callers emit at any of the
// nodes once all are there.
func startLoad(ctx context.Context, t *testing.T, front *balancer, nodes []*clusterNode, number int) *load {
	t.Helper()
	l := &load{clients: make([]*rollingClient, number), callers: make([]*rollingCaller, 3)}
	behind := &rolling{nodes: []*clusterNode{{daemon: daemon{listen: front.address}}}}
	running, stop := context.WithCancel(ctx)
	var coming sync.WaitGroup
	for i := range l.clients {
		l.clients[i] = &rollingClient{rolling: behind, slow: i%10 == 0, numbers: map[string][]int{}}
		coming.Go(func() {
			select {
			case <-time.After(time.Duration(i) * time.Millisecond): // some at a time
				l.clients[i].run(running)
			case <-running.Done():
			}
		})
	}
	l.stop = sync.OnceFunc(func() { stop(); coming.Wait(); l.calling.Wait() })
	t.Cleanup(l.stop)
	eventually(ctx, t, "everybody is connected", l.everybodyIn)
	emitting, halt := context.WithCancel(running)
	pace := max(rollingPace, time.Duration(number)*loadPace)
	l.halt = halt
	for i := range l.callers {
		l.callers[i] = &rollingCaller{rolling: &rolling{nodes: nodes}, name: fmt.Sprint("c", i), next: i, pace: pace}
		l.calling.Go(func() { l.callers[i].run(emitting, t) })
	}
	return l
}

func (l *load) everybodyIn() bool {
	for _, c := range l.clients {
		if !c.in.Load() {
			return false
		}
	}
	return true
}

// finish waits until everybody is back and has all emits, checks that nobody has missed one
// or is somebody new, and returns how often clients came back.
func (l *load) finish(ctx context.Context, t *testing.T) (returns int) {
	t.Helper()
	eventually(ctx, t, "everybody is back", l.everybodyIn)
	l.halt()
	l.calling.Wait()
	eventually(ctx, t, "everybody has the last emit", func() bool {
		for _, c := range l.clients {
			if !c.has(l.callers) {
				return false
			}
		}
		return true
	})
	l.stop()
	missed, anew, emits := 0, 0, 0
	for i, c := range l.clients {
		for _, fault := range c.faults {
			t.Errorf("client %d: %s", i, fault)
		}
		for _, caller := range l.callers {
			missed += c.judge(t, i, caller)
		}
		returns += c.returns
		anew += c.anew
	}
	for _, c := range l.callers {
		emits += len(c.sent)
	}
	if missed > 0 || anew > 0 {
		t.Errorf("%d emits were missed, and %d times a client was somebody new", missed, anew)
	}
	if emits < 30 {
		t.Errorf("only %d emits: little is shown by that", emits)
	}
	t.Logf("%d emits went to each of %d clients", emits, len(l.clients))
	return returns
}
