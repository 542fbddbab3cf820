package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
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
	d := drain.New(settings, func() drain.Counts { return drain.Counts{Sessions: 3, Connections: 5, Closed: 2} })
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

// TestDrainOfAPeerThatLeaves: who follows a drain hears that it is done if the peer has left
// after its sessions were closed; if it leaves before, that it does not answer; and nothing
// more once its own context has ended.
func TestDrainOfAPeerThatLeaves(t *testing.T) {
	for _, last := range []drain.Phase{drain.Closing, drain.Consumers} {
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
		var heard drain.Phase
		first := true
		err := asker.Drain(t.Context(), "n2", drain.Overrides{}, func(at drain.Progress) error {
			heard = at.Phase
			if first {
				first = false
				return peer.Close(t.Context())
			}
			return nil
		})
		if last == drain.Consumers && (err != nil || heard != drain.Done) {
			t.Errorf("phase %v, %v, want it done", heard, err)
		}
		if away := (*sio.UnreachableError)(nil); last == drain.Closing && !errors.As(err, &away) {
			t.Errorf("phase %v, %v, want that it does not answer", heard, err)
		}
	}
}
