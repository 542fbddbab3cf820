package cluster

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
	"github.com/fanoutd/fanoutd/internal/tracing"
)

// tracedServer is a server that says which traces what it does belongs to.
type tracedServer struct {
	Server
	traces chan string
}

func (s *tracedServer) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	if _, ok := op.(sio.Emit); ok {
		s.traces <- tracing.Parent(ctx)
	}
	return s.Server.Apply(ctx, op)
}

func (s *tracedServer) EmitWithAck(ctx context.Context, o sio.AckRequest, yield func(sio.AckResult) bool) (sio.AckSummary, error) {
	s.traces <- tracing.Parent(ctx)
	return s.Server.EmitWithAck(ctx, o, yield)
}

// What one node has others do belongs to the trace of its caller there too.
func TestTracesReachPeers(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	memory := bus.NewMemory()
	here := startNode(t, memory, "here", "epoc1")
	peer := &tracedServer{traces: make(chan string, 10)}
	there := New(Options{Self: link.Self{Name: "there", Epoch: "epoc2"}, Link: link.Options{JoinWait: -1, Logger: log}, Logger: log})
	server, err := sio.NewServer(sio.Options{Node: "there", Backend: there.Backend(&admit{}), Interest: there.Interest(),
		Engine: engineio.Options{Epoch: "epoc2", PingInterval: time.Hour, Logger: log}})
	if err != nil {
		t.Fatal(err)
	}
	peer.Server = server
	if err := there.Start(peer, memory.Join("there")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := there.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	listener := wiretest.Listen()
	browsers := &http.Server{Handler: server}
	go browsers.Serve(listener)
	defer browsers.Close()
	listener.Connect(t, "")
	here.meet(1)

	const parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	emit := sio.Emit{To: to(room.Selector{All: true}), Event: "tick"}
	applied := emit
	applied.Applied = true
	for _, tt := range []struct {
		name string
		call func(context.Context) error
	}{
		{"emit", func(ctx context.Context) error { _, err := here.Apply(ctx, emit); return err }},
		{"emit, applied", func(ctx context.Context) error { _, err := here.Apply(ctx, applied); return err }},
		{"emit with acks", func(ctx context.Context) error {
			_, err := here.EmitWithAck(ctx, sio.AckRequest{Emit: emit, Timeout: time.Second}, func(sio.AckResult) bool { return true })
			return err
		}},
	} {
		for _, trace := range []string{parent, ""} {
			if err := tt.call(tracing.WithParent(t.Context(), trace)); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			select {
			case got := <-peer.traces:
				if got != trace {
					t.Errorf("%s: the peer's part is of %q, want %q", tt.name, got, trace)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s: nothing reached the peer", tt.name)
			}
		}
	}
}
