package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// TestInOrder: what is sent arrives, once and in order, messages of every size.
func TestInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := newNodes(t, bus.NewMemory(), 3, Options{})
		sizes := []int{0, 1, 100, pieceBytes - 8, pieceBytes, 3*pieceBytes + 1, 2 << 20}
		for _, from := range nodes {
			for _, to := range nodes {
				if from == to {
					continue
				}
				for i := range 500 {
					size := i
					if i < len(sizes) {
						size = sizes[i]
					}
					if _, err := from.say(t.Context(), to.self.Epoch, size); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		time.Sleep(time.Second)
		for _, to := range nodes {
			for _, from := range nodes {
				if got := to.got(from.self.Epoch); from != to && (got.numbers != 500 || got.runs != 1) {
					t.Errorf("%s got %d messages of %s in %d runs", to.node, got.numbers, from.node, got.runs)
				}
			}
		}
		check(t, nodes...)
	})
}

// TestFaultyBus: a bus that drops, doubles, delays and reorders loses nothing of what
// the links carry.
func TestFaultyBus(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			memory := bus.NewMemory()
			nodes := newNodes(t, memory, 3, Options{SuspectAfter: 30 * time.Second})
			memory.SetFaults(faulty(seed))
			var sending sync.WaitGroup
			for i, from := range nodes {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				sending.Go(func() {
					for range 1500 {
						to := nodes[random.IntN(len(nodes))]
						if to == from {
							continue
						}
						size := random.IntN(50)
						if random.IntN(100) == 0 {
							size = random.IntN(3 * pieceBytes)
						}
						if _, err := from.say(t.Context(), to.self.Epoch, size); err != nil {
							t.Error(err)
						}
						if random.IntN(10) == 0 {
							time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
						}
					}
				})
			}
			sending.Wait()
			time.Sleep(25 * time.Second)
			for _, to := range nodes {
				for _, from := range nodes {
					if got := to.got(from.self.Epoch); from != to && (got.last != from.said(to.self.Epoch) || got.runs != 1) {
						t.Errorf("seed %d: %s got %d of %d messages of %s in %d runs", seed, to.node, got.last, from.said(to.self.Epoch), from.node, got.runs)
					}
				}
			}
			check(t, nodes...)
		})
	}
}

// TestConfirmed: a confirmation means that the handler has returned.
func TestConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := newNodes(t, bus.NewMemory(), 2, Options{})
		a, b := nodes[0], nodes[1]
		release := make(chan struct{})
		b.hold = func(Peer, []byte) { <-release }
		at, err := a.say(t.Context(), b.self.Epoch, 10)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Confirmed(ctx, b.self.Epoch, at); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the handler is at it: %v", err)
		}
		close(release)
		if err := a.Confirmed(t.Context(), b.self.Epoch, at); err != nil {
			t.Error(err)
		}
		began := time.Now()
		at, _ = a.say(t.Context(), b.self.Epoch, 10)
		if err := a.Confirmed(t.Context(), b.self.Epoch, at); err != nil || time.Since(began) > 0 {
			t.Errorf("it took %v, %v", time.Since(began), err)
		}
		if err := a.Confirmed(t.Context(), "other", at); !errors.Is(err, ErrNoPeer) {
			t.Errorf("of no peer: %v", err)
		}
		check(t, nodes...)
	})
}

// TestSlowPeer: what a peer has not handled is bounded: then Send waits, and refuses in
// the end, and nothing that was taken is lost.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := newNodes(t, bus.NewMemory(), 2, Options{RingBytes: 10 * (1000 + keptOverhead), WindowBytes: 5000, SuspectAfter: time.Minute})
		a, b := nodes[0], nodes[1]
		release := make(chan struct{})
		b.hold = func(Peer, []byte) { <-release }
		var err error
		taken := 0
		for ; err == nil; taken++ {
			_, err = a.say(t.Context(), b.self.Epoch, 992)
		}
		if !errors.Is(err, ErrFull) || taken != 11 {
			t.Errorf("after %d messages of 1000 bytes: %v", taken, err)
		}
		if p, _ := a.Peer(b.self.Epoch); p.Refused != 1 {
			t.Errorf("%d refused", p.Refused)
		}
		waited := make(chan error)
		go func() {
			_, err := a.say(t.Context(), b.self.Epoch, 992)
			waited <- err
		}()
		synctest.Wait()
		close(release)
		if err := <-waited; err != nil {
			t.Errorf("when there is room: %v", err)
		}
		time.Sleep(time.Second)
		if got := b.got(a.self.Epoch); got.numbers != 11 {
			t.Errorf("%d received", got.numbers)
		}
		check(t, nodes...)
	})
}

// TestCut: a peer that is cut off, in both directions or one, is suspected at both ends,
// and alive again when it can be; nothing that was taken is lost.
func TestCut(t *testing.T) {
	for name, cut := range map[string][][2]string{
		"both ways": {{"n1", "n2"}, {"n2", "n1"}}, "one way": {{"n1", "n2"}}, "the other way": {{"n2", "n1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := bus.NewMemory()
				nodes := newNodes(t, memory, 3, Options{})
				a, b := nodes[0], nodes[1]
				for _, c := range cut {
					memory.Cut(c[0], c[1])
				}
				if _, err := a.say(t.Context(), b.self.Epoch, 10); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				for _, ends := range [][2]*node{{a, b}, {b, a}} {
					p, _ := ends[0].Peer(ends[1].self.Epoch)
					if p.State != Suspected {
						t.Errorf("%s does not suspect %s", ends[0].node, ends[1].node)
					}
					began := time.Now()
					if _, err := ends[0].say(t.Context(), ends[1].self.Epoch, 10); !errors.Is(err, ErrSuspected) || time.Since(began) > 0 {
						t.Errorf("Send to one that is suspected: %v after %v", err, time.Since(began))
					}
				}
				if p, _ := a.Peer(nodes[2].self.Epoch); p.State != Alive {
					t.Error("a third node is suspected")
				}
				for _, c := range cut {
					memory.Heal(c[0], c[1])
				}
				time.Sleep(3 * time.Second)
				for _, ends := range [][2]*node{{a, b}, {b, a}} {
					if p, _ := ends[0].Peer(ends[1].self.Epoch); p.State != Alive {
						t.Errorf("%s suspects %s still", ends[0].node, ends[1].node)
					}
					if got := ends[0].got(ends[1].self.Epoch); got.runs != 1 || len(got.states) != 2 {
						t.Errorf("%s saw %s come and go: %+v", ends[0].node, ends[1].node, got)
					}
				}
				if got := b.got(a.self.Epoch); got.last != 1 {
					t.Errorf("what was on its way: %d", got.last)
				}
				check(t, nodes...)
			})
		})
	}
}

// TestCutForLong: a peer that was given up and comes back is another run, and the link
// works from then on, whichever end gave it up.
func TestCutForLong(t *testing.T) {
	for name, cut := range map[string][][2]string{
		"both ways": {{"n1", "n2"}, {"n2", "n1"}}, "one way": {{"n1", "n2"}}, "the other way": {{"n2", "n1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := bus.NewMemory()
				nodes := newNodes(t, memory, 2, Options{})
				a, b := nodes[0], nodes[1]
				for _, c := range cut {
					memory.Cut(c[0], c[1])
				}
				time.Sleep(2 * time.Minute)
				for _, c := range cut {
					memory.Heal(c[0], c[1])
				}
				time.Sleep(10 * time.Second)
				for _, ends := range [][2]*node{{a, b}, {b, a}} {
					if _, err := ends[0].say(t.Context(), ends[1].self.Epoch, 10); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				for _, ends := range [][2]*node{{a, b}, {b, a}} {
					if got := ends[0].got(ends[1].self.Epoch); got.last != 1 || got.runs < 2 {
						t.Errorf("%s got of %s: %+v", ends[0].node, ends[1].node, got)
					}
					if p, _ := ends[0].Peer(ends[1].self.Epoch); p.State != Alive {
						t.Errorf("%s suspects %s", ends[0].node, ends[1].node)
					}
				}
				check(t, nodes...)
			})
		})
	}
}

// TestStrained: cuts, freezes and faults at random, with time for peers to be given up:
// in each run nothing is missing, and in the end everybody hears everybody.
func TestStrained(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			memory := bus.NewMemory()
			nodes := newNodes(t, memory, 3, Options{SuspectAfter: time.Second, GoneAfter: 3 * time.Second, SendWait: 500 * time.Millisecond, RingBytes: 100_000})
			memory.SetFaults(faulty(seed))
			stop := make(chan struct{})
			var sending sync.WaitGroup
			for i, from := range nodes {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				sending.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(time.Duration(random.IntN(20)) * time.Millisecond):
						}
						if to := nodes[random.IntN(len(nodes))]; to != from {
							_, _ = from.say(t.Context(), to.self.Epoch, random.IntN(2000)) // it may be refused
						}
					}
				})
			}
			random := rand.New(rand.NewPCG(seed, 99))
			name := func() string { return fmt.Sprint("n", 1+random.IntN(3)) }
			for range 40 {
				from, to := name(), name()
				if from == to {
					memory.Freeze(from)
				} else {
					memory.Cut(from, to)
				}
				time.Sleep(time.Duration(random.IntN(8000)) * time.Millisecond)
				memory.Thaw(from)
				memory.Heal(from, to)
				time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
			}
			memory.SetFaults(nil)
			close(stop)
			sending.Wait()
			time.Sleep(20 * time.Second)
			for _, from := range nodes {
				for _, to := range nodes {
					if from == to {
						continue
					}
					if _, err := from.say(t.Context(), to.self.Epoch, 0); err != nil {
						t.Errorf("seed %d: in the end %s to %s: %v", seed, from.node, to.node, err)
					}
				}
			}
			time.Sleep(time.Second)
			for _, from := range nodes {
				for _, to := range nodes {
					if got := to.got(from.self.Epoch); from != to && got.last != from.said(to.self.Epoch) {
						t.Errorf("seed %d: %s got %d of %d of %s", seed, to.node, got.last, from.said(to.self.Epoch), from.node)
					}
				}
			}
			check(t, nodes...)
		})
	}
}

// TestGoodbye: a node that says goodbye is gone at once, with all that it sent handled.
func TestGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := newNodes(t, bus.NewMemory(), 2, Options{})
		a, b := nodes[0], nodes[1]
		for range 100 {
			if _, err := a.say(t.Context(), b.self.Epoch, 1000); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := b.got(a.self.Epoch); got.there || got.last != 100 {
			t.Errorf("%+v", got)
		}
		if len(b.Peers()) != 0 {
			t.Errorf("peers: %v", b.Peers())
		}
		check(t, nodes...)
	})
}

// TestGoodbyeIsLost: the bus loses one, and the node is gone at once all the same.
func TestGoodbyeIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := newNodes(t, memory, 2, Options{})
		a, b := nodes[0], nodes[1]
		lost := 0
		memory.SetFaults(func(_, _, _ string, data []byte) bus.Verdict {
			first := lost == 0 && bytes.Contains(data, []byte(`"goodbye":true`))
			if first {
				lost++
			}
			return bus.Verdict{Drop: first}
		})
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if lost != 1 || len(b.Peers()) != 0 {
			t.Errorf("%d goodbyes were lost; peers: %v", lost, b.Peers())
		}
		check(t, nodes...)
	})
}

// TestRestart: a node that is back under its name with another epoch replaces its past.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		a, past := newNode(t, memory, "a", "aaaaa", Options{}), newNode(t, memory, "b", "bbbb1", Options{})
		time.Sleep(time.Second)
		now := newNode(t, memory, "b", "bbbb2", Options{})
		time.Sleep(2 * time.Second)
		if peers := a.Peers(); len(peers) != 1 || peers[0].Epoch != "bbbb2" {
			t.Errorf("peers: %v", peers)
		}
		if got := a.got("bbbb1"); got.there {
			t.Error("its past is there")
		}
		check(t, a, past, now)
	})
}

// TestEpochTaken: a node with the epoch of another does not start.
func TestEpochTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		a := newNode(t, memory, "a", "aaaaa", Options{})
		time.Sleep(time.Second)
		if _, err := New(memory.Join("b"), Self{Name: "b", Epoch: "aaaaa"}, Options{}, &history{from: map[string]*received{}}); !errors.Is(err, ErrEpochTaken) {
			t.Errorf("%v", err)
		}
		check(t, a)
	})
}

// TestHistoryFindsFaults: the checker of these tests sees what it is for.
func TestHistoryFindsFaults(t *testing.T) {
	p := Peer{Self: Self{Name: "a", Epoch: "aaaaa"}}
	say := func(n byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, n} }
	for name, f := range map[string]func(*history){
		"missing":        func(h *history) { h.Joined(p); h.Receive(p, say(1)); h.Receive(p, say(3)) },
		"twice":          func(h *history) { h.Joined(p); h.Receive(p, say(1)); h.Receive(p, say(1)) },
		"an earlier run": func(h *history) { h.Joined(p); h.Receive(p, say(2)); h.Gone(p); h.Joined(p); h.Receive(p, say(1)) },
		"not there":      func(h *history) { h.Receive(p, say(1)) },
		"joined twice":   func(h *history) { h.Joined(p); h.Joined(p) },
		"gone twice":     func(h *history) { h.Joined(p); h.Gone(p); h.Gone(p) },
		"other bytes":    func(h *history) { h.Joined(p); h.Receive(p, append(say(1), 2)) },
	} {
		h := &history{from: map[string]*received{}}
		if f(h); len(h.faults) == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}
