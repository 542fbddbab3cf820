// Package clustertest runs whole nodes of one cluster in memory, for tests of what
// stands above them: browsers connect to one, and whatever is tested asks another.
package clustertest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/consumers"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// Options are those of every node; see [sio.Options] and [dispatch.Options]. Each node's
// name, epoch and backend are its own.
type Options struct {
	Sockets sio.Options
	Events  dispatch.Options
	// Backend stands in front of the dispatcher of a node; nil: nothing does.
	Backend func(dispatcher sio.Backend) sio.Backend
}

// Node is a node with its browsers' listener: a Hub of all connections.
type Node struct {
	*cluster.Node
	Consumers *consumers.Dispatcher // of all nodes' events
	Local     *dispatch.Dispatcher  // of this node's
	Sockets   *sio.Server
	Browsers  *wiretest.Listener
	Bus       *bus.Memory // of all nodes

	t      *testing.T
	web    *http.Server
	served sync.WaitGroup
	end    sync.Once
}

// Start starts so many nodes, named n1, n2 and so on, which have met when it returns.
// Whoever uses them calls Stop of each. It is for bubbles of testing/synctest.
func Start(t *testing.T, number int, o Options) []*Node {
	t.Helper()
	memory := bus.NewMemory()
	nodes := make([]*Node, number)
	for i := range nodes {
		nodes[i] = start(t, memory, fmt.Sprint("n", i+1), fmt.Sprintf("epoc%d", i+1), o)
	}
	time.Sleep(3 * time.Second) // of the bubble: until all know what the others have
	for _, n := range nodes {
		if got := len(n.Peers()); got != number-1 {
			t.Fatalf("%s knows %d other nodes, want %d", n.Self().Name, got, number-1)
		}
	}
	return nodes
}

func start(t *testing.T, memory *bus.Memory, name, epoch string, o Options) *Node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	o.Events.Logger, o.Events.Epoch = log, epoch
	n := &Node{t: t, Local: dispatch.New(o.Events), Browsers: wiretest.Listen(), Bus: memory}
	keeper, err := blocks.NewKeeper(name, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	n.Node = cluster.New(cluster.Options{Self: link.Self{Name: name, Epoch: epoch}, Link: link.Options{JoinWait: -1, Logger: log}, Blocks: keeper, Logger: log})
	n.Consumers = consumers.New(n.Local, n.Node, consumers.Options{Epoch: epoch, Logger: log})
	n.SetConsumers(n.Consumers)
	var backend sio.Backend = n.Local
	if o.Backend != nil {
		backend = o.Backend(backend)
	}
	o.Sockets.Node, o.Sockets.Backend, o.Sockets.Owners, o.Sockets.Interest = name, n.Backend(backend), n.Local, n.Interest()
	o.Sockets.ChangeListener = n.Local
	if o.Sockets.RecoveryWindow > 0 {
		o.Sockets.Others = n.Others()
	}
	o.Sockets.Engine.Epoch, o.Sockets.Engine.Logger = epoch, log
	o.Sockets.Blocks = keeper
	if n.Sockets, err = sio.NewServer(o.Sockets); err != nil {
		t.Fatal(err)
	}
	keeper.Enforce(n.Sockets)
	n.web = &http.Server{Handler: n.Sockets}
	n.served.Go(func() { _ = n.web.Serve(n.Browsers) })
	if err := n.Node.Start(n.Sockets, memory.Join(name)); err != nil {
		t.Fatal(err)
	}
	return n
}

// Stop ends the node as a shutdown does. Streams of consumers at it have to have ended.
// Later calls do nothing.
func (n *Node) Stop() {
	n.end.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := n.Sockets.Shutdown(ctx); err != nil {
			n.t.Errorf("Shutdown of %s: %v", n.Self().Name, err)
		}
		n.web.Close()
		n.served.Wait()
		n.Consumers.Close()
		if err := n.Close(ctx); err != nil {
			n.t.Errorf("Close of %s: %v", n.Self().Name, err)
		}
	})
}
