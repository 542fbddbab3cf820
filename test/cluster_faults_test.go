package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// TestClusterFaults: routes that are lost, one way or both, late, or broken off, and nodes
// that stand still, in any order and under load: what callers were answered is what
// connections received, and consumers are told everything. With SOAK, five minutes of
// that; else 20 seconds.
func TestClusterFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	t.Parallel() // it mostly waits
	length := 20 * time.Second
	if os.Getenv("SOAK") != "" {
		length = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), length+3*time.Minute)
	defer cancel()
	p := startPartition(ctx, t)
	p.heal(ctx, t) // nothing is ill: they know each other
	p.load(ctx, t)
	keys, joins := &keyedCaller{nodes: p.nodes[:2]}, &joiner{partition: p}
	calling, stop := context.WithCancel(ctx)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer stop()
	calls.Go(func() { keys.run(calling, t) })
	calls.Go(func() { joins.run(calling, t) })
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for over := time.Now().Add(length); time.Now().Before(over) && !t.Failed(); {
		p.fault(ctx, t, random)
		pause(ctx, time.Duration(random.IntN(2000))*time.Millisecond)
	}
	p.heal(ctx, t)
	p.goesOn(ctx, t)
	stop()
	calls.Wait()
	for node, untold := range p.judge(ctx, t, keys.emits...) {
		if untold > 0 {
			t.Errorf("%d emits at %s were received not everywhere, and nobody was told", untold, node)
		}
	}
	p.wholeForAll(t)
	p.counted(t)
	emits := 0
	for _, c := range p.callers {
		emits += c.number()
	}
	t.Logf("%d emits; %d with keys, %d times refused; %d joins in force", emits, len(keys.emits), keys.unavailable, joins.inForce)
	if len(keys.emits) == 0 || joins.inForce == 0 {
		t.Error("nothing is shown by that")
	}
}

// fault has something wrong between two nodes, or with one, for some seconds.
func (p *partition) fault(ctx context.Context, t *testing.T, random *rand.Rand) {
	t.Helper()
	order := random.Perm(len(p.nodes))
	from, to := order[0], order[1]
	length := time.Duration(500+random.IntN(5000)) * time.Millisecond
	defer p.routes.heal(ctx)
	switch random.IntN(5) {
	case 0:
		t.Logf("for %v: n%d does not hear n%d", length, to+1, from+1)
		p.routes.cut(t, from, to)
	case 1:
		t.Logf("for %v: n%d and n%d do not hear each other", length, to+1, from+1)
		p.routes.cut(t, from, to)
		p.routes.cut(t, to, from)
	case 2:
		late := time.Duration(random.IntN(3000)) * time.Millisecond
		t.Logf("for %v: n%d hears n%d after %v", length, to+1, from+1, late)
		p.routes.delay(t, from, to, late)
	case 3:
		t.Logf("n%d and n%d are broken off", to+1, from+1)
		p.routes.breakOff(t, from, to)
		return
	case 4:
		length = min(length, 3500*time.Millisecond) // so that calls to it are answered in their time
		t.Logf("for %v: n%d stands still", length, to+1)
		if err := syscall.Kill(p.nodes[to].pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(p.nodes[to].pid, syscall.SIGCONT) }()
	}
	pause(ctx, length)
}

// pause waits.
func pause(ctx context.Context, length time.Duration) {
	select {
	case <-time.After(length):
	case <-ctx.Done():
	}
}

// keyedCaller emits with keys, each at both of two nodes.
type keyedCaller struct {
	nodes       []*clusterNode
	emits       []emitted
	unavailable int
}

// run emits until ctx ends.
func (k *keyedCaller) run(ctx context.Context, t *testing.T) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		key, wait, sent := fmt.Sprint("key ", i), fanoutv1.EmitRequest_Wait(i%2), false
		for j := range k.nodes {
			n := k.nodes[(i/2+j)%len(k.nodes)]
			call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
			answer, err := n.emitter.Emit(call, &fanoutv1.EmitRequest{
				To: toEverybody, Event: "numbered", ArgsJson: fmt.Sprintf("[%q,1]", key), IdempotencyKey: key, Wait: wait,
			})
			cancel()
			switch {
			case status.Code(err) == codes.Unavailable:
				k.unavailable++
			case err != nil:
				t.Errorf("%s at %s: %v", key, n.name, err)
				return
			case answer.GetDuplicate() != sent:
				t.Errorf("%s at %s, sent before: %v: %v", key, n.name, sent, answer)
				return
			case !sent:
				k.emits = append(k.emits, emitted{n.name, key, 1, wait == fanoutv1.EmitRequest_APPLIED, answer})
				sent = true
			}
		}
	}
}

// joiner has connections join rooms and leave them, and asks any node whether they are
// there.
type joiner struct {
	*partition
	inForce int
}

// run does that until ctx ends.
func (j *joiner) run(ctx context.Context, t *testing.T) {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*callTime)
		err := j.join(call, fmt.Sprint("room ", i), j.nodes[i%3], j.nodes[i/3%3], j.listeners[i/9%len(j.listeners)])
		cancel()
		if err != nil {
			t.Errorf("room %d: %v", i, err)
			return
		}
	}
}

// join has a connection join a room by one node, and another one emit to it; then it
// leaves.
func (j *joiner) join(ctx context.Context, room string, at, then *clusterNode, l *listener) error {
	to := &fanoutv1.Target{Ids: []string{l.id}}
	join, err := at.registry.Join(ctx, &fanoutv1.JoinRequest{To: to, Rooms: []string{room}})
	if err != nil {
		return fmt.Errorf("joining at %s: %w", at.name, err)
	}
	if join.GetAffected() == 0 {
		if !slices.Contains(join.GetUnreachable(), l.node.name) {
			return fmt.Errorf("%s has not joined at %s, and %s is not named: %v", l.id, at.name, l.node.name, join)
		}
		return nil // it may have joined all the same
	}
	emit := func(want uint32) error {
		res, err := then.emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{room}}, Event: "e", Wait: fanoutv1.EmitRequest_APPLIED})
		switch {
		case err != nil:
			return fmt.Errorf("emitting at %s: %w", then.name, err)
		case slices.Contains(res.GetUnreachable(), l.node.name):
			return nil
		case res.GetMatched() != want:
			return fmt.Errorf("%s joined at %s: %v; then an emit at %s: %v, want %d", l.id, at.name, join, then.name, res, want)
		}
		j.inForce++
		return nil
	}
	if !slices.Contains(join.GetUnreachable(), then.name) { // else it may not know
		if err := emit(1); err != nil {
			return err
		}
	}
	leave, err := at.registry.Leave(ctx, &fanoutv1.LeaveRequest{To: to, Rooms: []string{room}})
	if err != nil {
		return fmt.Errorf("leaving at %s: %w", at.name, err)
	}
	if leave.GetAffected() == 0 {
		if !slices.Contains(leave.GetUnreachable(), l.node.name) {
			return fmt.Errorf("%s has not left at %s, and %s is not named: %v", l.id, at.name, l.node.name, leave)
		}
		return nil
	}
	return emit(0)
}
