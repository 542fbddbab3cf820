package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// work is what is done under keys, counted by key.
type work struct {
	t    *testing.T
	took time.Duration

	mu   sync.Mutex
	done map[string]int
}

func newWork(t *testing.T) *work { return &work{t: t, done: map[string]int{}} }

var printA, printB = idempotency.Fingerprint{'a'}, idempotency.Fingerprint{'b'}

func named(key string) idempotency.Key { return idempotency.Key{Caller: "caller", Key: key} }

// once does the work at n under the key.
func (w *work) once(n *testNode, key string) (sio.Result, bool, error) {
	return n.Once(w.t.Context(), named(key), printA, func() (sio.Result, error) {
		w.mu.Lock()
		w.done[key]++
		w.mu.Unlock()
		time.Sleep(w.took)
		return sio.Result{Matched: 3, Forwarded: 1, Coverage: sio.Coverage{Partial: true, Unreachable: []string{"x"}}}, nil
	})
}

// want does the work at n, which is to be a duplicate or not.
func (w *work) want(n *testNode, key string, duplicate bool) {
	w.t.Helper()
	r, d, err := w.once(n, key)
	if err != nil || d != duplicate || r.Matched != 3 || r.Forwarded != 1 || !r.Partial || !slices.Equal(r.Unreachable, []string{"x"}) {
		w.t.Errorf("%s at %s: %+v, duplicate %v, %v; want duplicate %v", key, n.Self().Name, r, d, err, duplicate)
	}
}

// wantAway has n refuse the work, since a node does not answer.
func (w *work) wantAway(n *testNode, key, node string) {
	w.t.Helper()
	before := w.times(key)
	_, _, err := w.once(n, key)
	var away *sio.UnreachableError
	if !errors.As(err, &away) || away.Node != node {
		w.t.Errorf("%s at %s: %v, want %s unreachable", key, n.Self().Name, err, node)
	}
	if w.times(key) != before {
		w.t.Errorf("%s at %s was done all the same", key, n.Self().Name)
	}
}

func (w *work) times(key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done[key]
}

func (w *work) wantTimes(key string, times int) {
	w.t.Helper()
	if got := w.times(key); got != times {
		w.t.Errorf("%s was done %d times, want %d", key, got, times)
	}
}

// keyOf returns a new key with these nodes first in its order.
func keyOf(n *testNode, order ...*testNode) string {
	for i := 0; ; i++ {
		key := fmt.Sprint("key", i)
		ok := true
		for rank, want := range order {
			epoch := n.Self().Epoch
			if p := n.keeper(named(key), rank); p != nil {
				epoch = p.epoch
			}
			ok = ok && epoch == want.Self().Epoch
		}
		if ok {
			return key
		}
	}
}

// keyOwner is the name of the node that owns the key, as n sees it.
func keyOwner(n *testNode, key string) string {
	if p := n.keeper(named(key), 0); p != nil {
		return p.name
	}
	return n.Self().Name
}

// afterJoins waits until no key may have moved.
func afterJoins() { time.Sleep(idempotency.TTL) }

func cutOff(memory *bus.Memory, name string, from ...string) {
	for _, other := range from {
		memory.Cut(name, other)
		memory.Cut(other, name)
	}
}

func heal(memory *bus.Memory, name string, from ...string) {
	for _, other := range from {
		memory.Heal(name, other)
		memory.Heal(other, name)
	}
}

// TestKeysOverNodes: what was done under a key is answered by every node.
func TestKeysOverNodes(t *testing.T) {
	for _, moved := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			nodes := startNodes(t, bus.NewMemory(), 3)
			if !moved {
				afterJoins()
			}
			if got := nodes[0].keysMoved(); got != moved {
				t.Fatalf("keysMoved: %v", got)
			}
			w := newWork(t)
			for i := range 30 {
				key := fmt.Sprint("k", i)
				w.want(nodes[i%3], key, false)
				for _, n := range nodes {
					w.want(n, key, true)
					if _, _, err := n.Once(t.Context(), named(key), printB, nil); !errors.Is(err, idempotency.ErrOtherContent) {
						t.Errorf("other content at %s: %v", n.Self().Name, err)
					}
				}
				if _, d, err := nodes[(i+1)%3].Once(t.Context(), idempotency.Key{Caller: "other", Key: key}, printB, func() (sio.Result, error) { return sio.Result{}, nil }); d || err != nil {
					t.Errorf("another caller's: duplicate %v, %v", d, err)
				}
			}
			for _, n := range nodes { // two nodes know each key, and nothing is under way
				if r := n.keys.Running(); r != 0 {
					t.Errorf("%s: %d attempts run", n.Self().Name, r)
				}
				for _, p := range n.all() {
					if len(p.leases) != 0 {
						t.Errorf("%s: %d leases", n.Self().Name, len(p.leases))
					}
				}
			}
		})
	}
}

// TestKeysApplyOnce: of those who come at once one does it and the others hear of it.
func TestKeysApplyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 3)
		w := newWork(t)
		w.took = time.Second
		var wg sync.WaitGroup
		var mu sync.Mutex
		duplicates := 0
		for i := range 60 {
			wg.Go(func() {
				_, d, err := w.once(nodes[i%3], fmt.Sprint("k", i%4))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if d {
					duplicates++
				}
			})
		}
		wg.Wait()
		for i := range 4 {
			w.wantTimes(fmt.Sprint("k", i), 1)
		}
		if duplicates != 56 {
			t.Errorf("%d duplicates, want 56", duplicates)
		}
	})
}

// TestKeysAfterFailure: what failed, in whatever way, is done by who waited for it.
func TestKeysAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 2)
		w := newWork(t)
		for _, owner := range nodes {
			key := keyOf(nodes[0], owner)
			failed := errors.New("failed")
			var wg sync.WaitGroup
			wg.Go(func() {
				_, _, err := nodes[0].Once(t.Context(), named(key), printA, func() (sio.Result, error) {
					time.Sleep(time.Second)
					return sio.Result{}, failed
				})
				if !errors.Is(err, failed) {
					t.Errorf("the first: %v", err)
				}
			})
			time.Sleep(100 * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			if _, _, err := nodes[1].Once(ctx, named(key), printA, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the impatient one: %v", err)
			}
			cancel()
			wg.Go(func() { w.want(nodes[1], key, false) })
			wg.Wait()
			func() {
				defer func() { _ = recover() }()
				_, _, _ = nodes[0].Once(t.Context(), named(key+"p"), printA, func() (sio.Result, error) { panic("x") })
			}()
			w.want(nodes[1], key+"p", false)
		}
	})
}

// TestKeysOwnerAway: nothing is done while the owner does not answer, and once it is gone
// the second knows what was done.
func TestKeysOwnerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3)
		afterJoins()
		w := newWork(t)
		known := keyOf(nodes[0], nodes[2], nodes[1])
		w.want(nodes[0], known, false)
		own := known + "'" // asked for at the second itself
		for keyOwner(nodes[0], own) != "n3" || nodes[1].keeper(named(own), 1) != nil {
			own += "'"
		}
		w.want(nodes[1], own, false)
		fresh := own + "'"
		for keyOwner(nodes[0], fresh) != "n3" {
			fresh += "'"
		}
		cutOff(memory, "n3", "n1", "n2")
		w.wantAway(nodes[0], known, "n3") // it is not suspected yet: the answer is awaited
		settle()
		for _, n := range nodes[:2] {
			w.wantAway(n, known, "n3")
			w.wantAway(n, fresh, "n3")
		}
		time.Sleep(2 * time.Minute) // it is gone
		for _, n := range nodes[:2] {
			w.want(n, known, true)
			w.want(n, own, true)
		}
		w.want(nodes[0], fresh, false)
		w.want(nodes[1], fresh, true)
		w.wantTimes(known, 1)

		// It is back, and knows no more than before: it has to ask.
		heal(memory, "n3", "n1", "n2")
		settle()
		for _, n := range nodes {
			w.want(n, fresh, true)
			w.want(n, known, true)
		}
		w.wantTimes(fresh, 1)
	})
}

// TestKeysAnswerLost: what the owner has allowed without being heard is given back.
func TestKeysAnswerLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 2)
		afterJoins()
		w := newWork(t)
		key := keyOf(nodes[0], nodes[1])
		memory.Cut("n2", "n1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var away *sio.UnreachableError
		if _, _, err := nodes[0].Once(ctx, named(key), printA, nil); !errors.As(err, &away) || ctx.Err() != nil {
			t.Errorf("%v, %v; want n2 unreachable before the deadline", err, ctx.Err())
		}
		memory.Heal("n2", "n1")
		began := time.Now()
		w.want(nodes[0], key, false)
		if waited := time.Since(began); waited > keyLease/2 {
			t.Errorf("the key was held for %v", waited)
		}
	})
}

// TestKeysOfAnotherNode: a node lets nobody begin what it does not own, as it sees it.
func TestKeysOfAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 2)
		a, known := nodes[0].beginHere(named(keyOf(nodes[0], nodes[1])), printA)
		if a != nil || known.state != clusterv1.KeyAnswer_NOT_OWNER {
			t.Errorf("%v, %v", a, known.state)
		}
	})
}

// TestKeysOfANewNode: a node that joins owns keys that others know.
func TestKeysOfANewNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 2)
		afterJoins()
		w := newWork(t)
		for i := range 50 {
			w.want(nodes[i%2], fmt.Sprint("k", i), false)
		}
		nodes = append(nodes, startNode(t, memory, "n3", "epoc3"))
		for _, n := range nodes {
			n.meet(2)
		}
		owned := 0
		for i := range 50 {
			if nodes[2].keeper(named(fmt.Sprint("k", i)), 0) == nil {
				owned++
			}
			w.want(nodes[i%3], fmt.Sprint("k", i), true)
		}
		if owned < 5 {
			t.Errorf("the new node owns %d keys of 50: it shows nothing", owned)
		}
		// It does not know what a node that is away may know.
		key := keyOf(nodes[2], nodes[2])
		cutOff(memory, "n2", "n1", "n3")
		settle()
		w.wantAway(nodes[0], key, "n2")
		afterJoins()
		w.want(nodes[0], key, false)
	})
}

// TestKeysOwnerDiesBetween: the owner dies after it has allowed an attempt and before it
// is told: the second is.
func TestKeysOwnerDiesBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3)
		afterJoins()
		key := keyOf(nodes[0], nodes[2], nodes[1])
		times := 0
		apply := func() (sio.Result, error) {
			times++
			cutOff(memory, "n3", "n1", "n2")
			return sio.Result{Matched: 1}, nil
		}
		if r, d, err := nodes[0].Once(t.Context(), named(key), printA, apply); d || err != nil || r.Matched != 1 {
			t.Errorf("%+v, %v, %v", r, d, err)
		}
		time.Sleep(2 * time.Minute)
		for _, n := range nodes[:2] {
			if r, d, err := n.Once(t.Context(), named(key), printA, apply); !d || err != nil || r.Matched != 1 {
				t.Errorf("at %s: %+v, %v, %v", n.Self().Name, r, d, err)
			}
		}
		if times != 1 {
			t.Errorf("done %d times", times)
		}
	})
}

// TestKeysAskingNodeDies: what a node had begun is anybody's when it is gone, and when it
// takes too long; what it tells then is kept all the same.
func TestKeysAskingNodeDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3)
		afterJoins()
		w := newWork(t)
		begin := func(key string, took time.Duration) chan struct{} {
			begun, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				if _, _, err := nodes[2].Once(t.Context(), named(key), printA, func() (sio.Result, error) {
					close(begun)
					time.Sleep(took)
					return sio.Result{Matched: 7}, nil
				}); err != nil {
					t.Error(err)
				}
			}()
			<-begun
			return ended
		}
		key := keyOf(nodes[0], nodes[0], nodes[1])

		slow := begin(key, keyLease+time.Second)
		began := time.Now()
		var away *sio.UnreachableError
		_, duplicate, err := w.once(nodes[1], key)
		for errors.As(err, &away) && away.Node == "n3" {
			_, duplicate, err = w.once(nodes[1], key)
		}
		if err != nil || duplicate {
			t.Errorf("after the lease: duplicate %v, %v", duplicate, err)
		}
		if waited := time.Since(began); waited < keyLease-time.Second {
			t.Errorf("it was begun after %v, while another node may have been at it", waited)
		}
		<-slow
		if r, d, err := nodes[1].Once(t.Context(), named(key), printA, nil); !d || err != nil || r.Matched != 7 {
			t.Errorf("told late: %+v, %v, %v", r, d, err)
		}

		gone := begin(key+"g", 5*time.Second)
		nodes[2].stop()
		synctest.Wait()
		for _, n := range nodes[:2] {
			for _, p := range n.all() {
				if p.name == "n3" {
					t.Error("it is not gone")
				}
			}
		}
		began = time.Now()
		w.want(nodes[1], key+"g", false)
		if waited := time.Since(began); waited >= 5*time.Second {
			t.Errorf("it waited for %v for a node that is gone", waited)
		}
		<-gone
	})
}

// TestKeysAlone: a node alone asks nobody, and remembers so many keys.
func TestKeysAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, bus.NewMemory(), "n1", "epoc1")
		n.keys = idempotency.NewTable(2)
		w := newWork(t)
		for _, key := range []string{"a", "b", "c"} {
			w.want(n, key, false)
		}
		w.want(n, "c", true)
		w.want(n, "a", false)
		if asked := n.requests.number.Load(); asked != 0 {
			t.Errorf("%d requests", asked)
		}
	})
}

// TestKeyLeasesAreBounded: a peer cannot begin more than it may, and what is refused is
// begun by nobody.
func TestKeyLeasesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 2)
		afterJoins()
		w := newWork(t)
		key := keyOf(nodes[0], nodes[0])
		p := nodes[0].all()[0]
		for i := range maxServed {
			a, _, _ := nodes[0].keys.Begin(named(fmt.Sprint("x", i)), printA)
			if !p.addLease(uint64(1_000_000+i), a) {
				t.Fatalf("lease %d is refused", i)
			}
		}
		w.wantAway(nodes[1], key, "n1")
		time.Sleep(keyLease)
		synctest.Wait()
		if r := nodes[0].keys.Running(); r != 0 {
			t.Errorf("%d attempts run", r)
		}
		w.want(nodes[1], key, false)
	})
}

// TestAskedBeforeStarted: a peer may ask as soon as the links are there, which is before
// Start has returned.
func TestAskedBeforeStarted(t *testing.T) {
	n := New(Options{Self: link.Self{Name: "n", Epoch: "epoch"}})
	p := n.newPeer(&link.Peer{Self: link.Self{Name: "m", Epoch: "other"}})
	asked := make(chan error, 1)
	go func() { asked <- n.send(t.Context(), p, nil) }()
	select {
	case err := <-asked:
		t.Fatalf("asked before it could: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	n.end()
	if err := <-asked; !errors.Is(err, errUnreachable) {
		t.Errorf("asked by a node that never started: %v", err)
	}
}
