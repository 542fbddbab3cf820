package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// testNode is a whole node: its server, its browsers' listener, its place in the cluster.
type testNode struct {
	*Node
	t        *testing.T
	server   *sio.Server
	http     *http.Server
	listener *wiretest.Listener
	admit    *admit
	end      sync.Once
}

// admit is a Backend that admits everybody as what it says at the moment.
type admit struct {
	connected func(*sio.Socket) // may be nil

	mu        sync.Mutex
	admission sio.Admission
	there     map[string]chan struct{} // by connection; see await
}

func (a *admit) Connecting(context.Context, *sio.Socket, []byte) (sio.Admission, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.admission, nil
}
func (a *admit) Connected(s *sio.Socket) {
	if a.connected != nil {
		a.connected(s)
	}
	a.heard(s.ID()) <- struct{}{}
}
func (*admit) Event(s *sio.Socket, e sio.Event)   {}
func (*admit) Disconnected(*sio.Socket, sio.End)  {}
func (*admit) RecoveryExpired(sio.LostConnection) {}

// await waits until the backend has heard of a connection, once for each time that it came.
// Who does anything for it before that may wait for its lock, which is held while the backend
// is waited for, and in a bubble of testing/synctest that stops the clock for good, if the
// backend waits for time to pass.
func (a *admit) await(id string) { <-a.heard(id) }

// heard returns the channel that gets something when the backend has heard of a connection.
func (a *admit) heard(id string) chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.there == nil {
		a.there = map[string]chan struct{}{}
	}
	if a.there[id] == nil {
		a.there[id] = make(chan struct{}, 1)
	}
	return a.there[id]
}

// startNodes starts so many nodes on a bus of their own, which end with the test.
func startNodes(t *testing.T, memory *bus.Memory, number int, change ...func(*sio.Options)) []*testNode {
	t.Helper()
	nodes := make([]*testNode, number)
	for i := range nodes {
		nodes[i] = startNode(t, memory, fmt.Sprint("n", i+1), fmt.Sprintf("epoc%d", i+1), change...)
	}
	for _, n := range nodes {
		n.meet(number - 1)
	}
	return nodes
}

func startNode(t *testing.T, memory *bus.Memory, name, epoch string, change ...func(*sio.Options)) *testNode {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	n := &testNode{t: t, admit: &admit{}, listener: wiretest.Listen()}
	options := Options{Self: link.Self{Name: name, Epoch: epoch}, Link: link.Options{JoinWait: -1, Logger: log}, Logger: log}
	changed := sio.Options{Node: name}
	for _, f := range change {
		f(&changed)
	}
	options.Blocks, _ = changed.Blocks.(*blocks.Keeper)
	n.Node = New(options)
	o := sio.Options{
		Node: name, Namespaces: []string{"/", "/chat"}, Backend: n.Backend(n.admit), Interest: n.Interest(),
		// Clients of these tests answer no ping.
		Engine: engineio.Options{Epoch: epoch, PingInterval: time.Hour, Logger: log}, Others: n.Others(),
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if n.server, err = sio.NewServer(o); err != nil {
		t.Fatal(err)
	}
	if options.Blocks != nil {
		options.Blocks.Enforce(n.server)
	}
	n.http = &http.Server{Handler: n.server}
	go n.http.Serve(n.listener)
	if err := n.Start(n.server, memory.Join(name)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	return n
}

// meet waits until the node knows so many peers and what they have members of, and they
// of this node.
func (n *testNode) meet(peers int) {
	n.t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if len(n.all()) == peers && len(n.confirm(n.t.Context(), nil)) == 0 {
			return
		}
		if time.Since(began) > time.Minute {
			n.t.Fatalf("%s knows %d nodes, want %d", n.Self().Name, len(n.all()), peers)
		}
	}
}

// stop ends the node as a shutdown does.
func (n *testNode) stop() {
	n.end.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := n.server.Shutdown(ctx); err != nil {
			n.t.Errorf("Shutdown: %v", err)
		}
		n.http.Close()
		if err := n.Close(ctx); err != nil {
			n.t.Errorf("Close: %v", err)
		}
	})
}

// connect adds a connection, and waits until the backend has heard of it.
func (n *testNode) connect(namespace, user string, rooms ...string) (*wiretest.WS, string) {
	n.t.Helper()
	n.admit.mu.Lock()
	n.admit.admission = sio.Admission{User: user, Rooms: rooms}
	n.admit.mu.Unlock()
	if namespace == "/" {
		namespace = ""
	}
	c, id := n.listener.Connect(n.t, namespace)
	n.admit.await(id)
	return c, id
}

// apply applies op at the node and returns what it did.
func (n *testNode) apply(op sio.Op) sio.Result {
	n.t.Helper()
	r, err := n.Apply(n.t.Context(), op)
	if err != nil {
		n.t.Fatalf("%T: %v", op, err)
	}
	return r
}

func to(sel room.Selector) sio.Target { return sio.Target{Namespace: "/", Selector: sel} }

// TestAdmitAwaits: who waits for one connection is not told of another's, which connected
// later and that the backend has heard of before.
func TestAdmitAwaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNodes(t, bus.NewMemory(), 1)[0]
		var heard sync.Map // of ids
		first := true
		n.admit.connected = func(s *sio.Socket) {
			if first {
				first = false
				time.Sleep(time.Second)
			}
			heard.Store(s.ID(), true)
		}
		var clients sync.WaitGroup
		for range 2 {
			clients.Go(func() {
				c, id := n.connect("/", "")
				if _, ok := heard.Load(id); !ok {
					t.Errorf("it was connected before the backend has heard of it")
				}
				time.Sleep(time.Minute) // the clock would stop for good if it was closed while the backend is busy with it
				c.Close()
			})
			synctest.Wait()
		}
		clients.Wait()
	})
}
