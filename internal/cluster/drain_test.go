package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// startDraining starts a node whose drain has such settings.
func startDraining(t *testing.T, memory *bus.Memory, name, epoch string, settings drain.Plan) (*Node, *drain.Drain) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	d := drain.New(settings, func() drain.Counts { return drain.Counts{Sessions: 3, Connections: 5, Closed: 2} }, func() {})
	n := New(Options{Self: link.Self{Name: name, Epoch: epoch}, Link: link.Options{JoinWait: -1, Logger: log}, Drain: d, Logger: log})
	server, err := sio.NewServer(sio.Options{Node: name, Namespaces: []string{"/"}, Interest: n.Interest(), Backend: n.Backend(&admit{}), Others: n.Others()})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(server, memory.Join(name)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(context.Background()), n.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return n, d
}

// TestDrainOfAPeer: a peer is drained by its name, with what the caller wants to be
// otherwise than its settings, and followed to the end, also if it is gone by then. A second
// call joins. A name that there is not, and a peer that knows no drain, are errors.
func TestDrainOfAPeer(t *testing.T) {
	memory := bus.NewMemory()
	asker := startNode(t, memory, "n1", "epoc1")
	peer, d := startDraining(t, memory, "n2", "epoc2", drain.Plan{Delay: time.Minute, Time: time.Hour})
	asker.meet(1)
	if err := asker.Drain(t.Context(), "n3", drain.Overrides{}, nil); !errors.Is(err, sio.ErrNotFound) {
		t.Errorf("a node that there is not: %v", err)
	}
	if away := (*sio.UnreachableError)(nil); !errors.As(peer.Drain(t.Context(), "n1", drain.Overrides{}, nil), &away) || away.Node != "n1" {
		t.Errorf("a node that cannot be drained: %v", away)
	}

	over := 7 * time.Second
	var phases []drain.Phase
	next := map[drain.Phase]func(){
		drain.NotReady:  func() { d.Enter(drain.Closing) },
		drain.Closing:   func() { d.Enter(drain.Consumers) },
		drain.Consumers: func() { d.Enter(drain.Done) },
		drain.Done:      func() {},
	}
	err := asker.Drain(t.Context(), "n2", drain.Overrides{Time: &over}, func(at drain.Progress) error {
		if want := (drain.Counts{Sessions: 3, Connections: 5, Closed: 2}); at.Plan != (drain.Plan{Delay: time.Minute, Time: over}) || at.Counts != want {
			t.Errorf("heard %+v", at)
		}
		if !slices.Contains(phases, at.Phase) { // it is told of again after a second
			phases = append(phases, at.Phase)
			next[at.Phase]()
		}
		return nil
	})
	if want := []drain.Phase{drain.NotReady, drain.Closing, drain.Consumers, drain.Done}; err != nil || !slices.Equal(phases, want) {
		t.Errorf("heard of %v, %v, want %v", phases, err, want)
	}
	err = asker.Drain(t.Context(), "n2", drain.Overrides{}, func(at drain.Progress) error {
		if at.Phase != drain.Done || at.Plan.Time != over {
			t.Errorf("a second call heard %+v", at)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDrainOfAPeerThatEndsAtOnce: a peer that has nobody to wait for goes through all phases
// while its first answer is on its way, and does not leave before who follows its drain has
// heard of the last.
func TestDrainOfAPeerThatEndsAtOnce(t *testing.T) {
	for _, reached := range []drain.Phase{drain.NotReady, drain.Closing, drain.Consumers} {
		synctest.Test(t, func(t *testing.T) {
			memory := bus.NewMemory()
			asker := startNode(t, memory, "n1", "epoc1")
			peer, d := startDraining(t, memory, "n2", "epoc2", drain.Plan{})
			asker.meet(1)
			d.Begin(drain.Overrides{})
			d.Enter(reached)
			var heard []drain.Progress
			left := make(chan error, 1)
			began := time.Now()
			err := asker.Drain(t.Context(), "n2", drain.Overrides{}, func(at drain.Progress) error {
				if heard = append(heard, at); len(heard) == 1 {
					d.Enter(drain.Done)
					go func() { left <- peer.Close(context.Background()) }()
					synctest.Wait()
				}
				return nil
			})
			if err != nil || len(heard) != 2 || heard[0].Phase != reached || heard[1].Phase != drain.Done || heard[1].Closed != 2 {
				t.Errorf("heard %+v, %v", heard, err)
			}
			if err := <-left; err != nil || time.Since(began) >= followWait {
				t.Errorf("it left after %v, %v", time.Since(began), err)
			}
		})
	}
}

// TestDrainOfAPeerWithoutFollowers: who does not ask on, as its own caller has gone, keeps no
// peer from leaving for long.
func TestDrainOfAPeerWithoutFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		asker := startNode(t, memory, "n1", "epoc1")
		peer, d := startDraining(t, memory, "n2", "epoc2", drain.Plan{})
		asker.meet(1)
		leaving := errors.New("leaving")
		if err := asker.Drain(t.Context(), "n2", drain.Overrides{}, func(drain.Progress) error { return leaving }); !errors.Is(err, leaving) {
			t.Error(err)
		}
		d.Enter(drain.Done)
		began := time.Now()
		if err := peer.Close(context.Background()); err != nil || time.Since(began) > followWait {
			t.Errorf("it left after %v, %v", time.Since(began), err)
		}
	})
}

// TestDrainOfAPeerThatLeaves: who follows a drain hears that it is done if the peer has left
// meanwhile, whatever it was told before; that it does not answer if it is silent; and nothing
// more once its own context has ended.
func TestDrainOfAPeerThatLeaves(t *testing.T) {
	for _, last := range []drain.Phase{drain.NotReady, drain.Closing, drain.Consumers} {
		for _, silent := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				memory := bus.NewMemory()
				asker := startNode(t, memory, "n1", "epoc1")
				peer, d := startDraining(t, memory, "n2", "epoc2", drain.Plan{})
				asker.meet(1)
				d.Begin(drain.Overrides{})
				d.Enter(last)
				leaving := errors.New("leaving")
				ctx, cancel := context.WithCancelCause(t.Context())
				if err := asker.Drain(ctx, "n2", drain.Overrides{}, func(drain.Progress) error { cancel(leaving); return nil }); !errors.Is(err, leaving) {
					t.Errorf("a caller that left: %v", err)
				}
				var heard drain.Progress
				first := true
				err := asker.Drain(t.Context(), "n2", drain.Overrides{}, func(at drain.Progress) error {
					heard = at
					if !first {
						return nil
					}
					first = false
					if silent {
						memory.Disconnect("n2")
						return nil
					}
					return peer.Close(t.Context())
				})
				memory.Reconnect("n2")
				if !silent && (err != nil || heard.Phase != drain.Done || heard.Counts != drain.Counts{Closed: 2}) {
					t.Errorf("heard %+v, %v, want it done", heard, err)
				}
				if away := (*sio.UnreachableError)(nil); silent && !errors.As(err, &away) {
					t.Errorf("heard %+v, %v, want that it does not answer", heard, err)
				}
			})
		}
	}
}

// TestDrainOfAPeerThatDies: who follows a drain does not hear that it is done if the peer is gone and has not left: it was killed,
// and another of its name is there; or it is this node that leaves.
func TestDrainOfAPeerThatDies(t *testing.T) {
	for name, dies := range map[string]func(t *testing.T, memory *bus.Memory, asker *testNode){
		"another of its name is there": func(t *testing.T, memory *bus.Memory, _ *testNode) {
			memory.Disconnect("n2")
			n := New(Options{
				Self: link.Self{Name: "n2", Epoch: "epoc3"},
				Link: link.Options{JoinWait: -1, Logger: slog.New(slog.DiscardHandler)}, Logger: slog.New(slog.DiscardHandler),
			})
			server, err := sio.NewServer(sio.Options{Node: "n2", Namespaces: []string{"/"}, Interest: n.Interest(), Backend: n.Backend(&admit{}), Others: n.Others()})
			if err != nil {
				t.Fatal(err)
			}
			if err := n.Start(server, memory.Join("n2 again")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := errors.Join(server.Shutdown(context.Background()), n.Close(context.Background())); err != nil {
					t.Error(err)
				}
			})
		},
		"this node leaves": func(t *testing.T, _ *bus.Memory, asker *testNode) { go asker.Close(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := bus.NewMemory()
				asker := startNode(t, memory, "n1", "epoc1")
				_, d := startDraining(t, memory, "n2", "epoc2", drain.Plan{})
				asker.meet(1)
				d.Begin(drain.Overrides{})
				d.Enter(drain.Closing)
				var heard []drain.Phase
				err := asker.Drain(t.Context(), "n2", drain.Overrides{}, func(at drain.Progress) error {
					if heard = append(heard, at.Phase); len(heard) == 1 {
						dies(t, memory, asker)
					}
					return nil
				})
				if away := (*sio.UnreachableError)(nil); !errors.As(err, &away) || away.Node != "n2" || slices.Contains(heard, drain.Done) {
					t.Errorf("heard %v, %v, want that it does not answer", heard, err)
				}
				memory.Reconnect("n2")
			})
		})
	}
}
