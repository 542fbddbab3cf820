package consumers

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// testNode is a whole node.
type testNode struct {
	*Dispatcher
	t        *testing.T
	name     string
	node     *cluster.Node
	server   *sio.Server
	http     *http.Server
	listener *wiretest.Listener
	members  []*consumer
	others   []*Subscription // that nobody polls, to be closed in the end
	over     sync.Once
}

// inCluster runs f with so many nodes, n1, n2 and so on, in a bubble.
func inCluster(t *testing.T, number int, f func(m *bus.Memory, nodes []*testNode)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := make([]*testNode, number)
		for i := range nodes {
			nodes[i] = startNode(t, memory, fmt.Sprint("n", i+1), fmt.Sprintf("epoc%d", i+1))
		}
		time.Sleep(3 * time.Second)
		f(memory, nodes)
		for _, n := range nodes {
			n.stop()
		}
	})
}

func startNode(t *testing.T, memory *bus.Memory, name, epoch string) *testNode {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	n := &testNode{t: t, name: name, listener: wiretest.Listen()}
	local := dispatch.New(dispatch.Options{Logger: log, Epoch: epoch})
	n.node = cluster.New(cluster.Options{Self: link.Self{Name: name, Epoch: epoch}, Link: link.Options{JoinWait: -1, Logger: log}, Logger: log})
	n.Dispatcher = New(local, n.node, Options{Epoch: epoch, Logger: log})
	n.node.SetConsumers(n.Dispatcher)
	var err error
	n.server, err = sio.NewServer(sio.Options{
		Node: name, Namespaces: []string{"/", "/chat"}, Backend: n.node.Backend(local), Owners: local, ChangeListener: local, Interest: n.node.Interest(),
		// Clients of these tests answer no ping.
		Engine:         engineio.Options{Epoch: epoch, PingInterval: time.Hour, Logger: log},
		RecoveryWindow: time.Minute, Others: n.node.Others(),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.http = &http.Server{Handler: n.server}
	go n.http.Serve(n.listener)
	if err := n.node.Start(n.server, memory.Join(name)); err != nil {
		t.Fatal(err)
	}
	return n
}

// stop ends the node as a shutdown does.
func (n *testNode) stop() {
	n.over.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := n.server.Shutdown(ctx); err != nil {
			n.t.Errorf("Shutdown: %v", err)
		}
		n.http.Close()
		for _, c := range n.members {
			c.Close()
			<-c.ended
		}
		for _, s := range n.others {
			s.Close()
		}
		n.Dispatcher.Close()
		if err := n.node.Close(ctx); err != nil {
			n.t.Errorf("Close: %v", err)
		}
	})
}

// consumer is one that handles deliveries on a goroutine of its own.
type consumer struct {
	*Subscription
	t     *testing.T
	name  string
	hold  time.Duration                          // before each settlement
	each  func(c *consumer, d dispatch.Delivery) // instead of Ack, if it is set
	mu    sync.Mutex
	got   []dispatch.Delivery
	taken []dispatch.Cancelled
	most  int               // unsettled at once
	have  map[string]uint32 // attempts
	ended chan struct{}
	order *deliveries               // may be nil
	owned map[string]sio.Connection // as it was told, if it asked for assignments, and has them join itself

	unsure  map[string]bool // of those, which a node may not have had join
	changes int             // that it was told of
}

// deliveries are those of several consumers, in the order in which they came.
type deliveries struct {
	mu  sync.Mutex
	all []delivered
}

type delivered struct{ connection, args string }

func (o *deliveries) list() []delivered {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all
}

// consume starts a consumer.
func (n *testNode) consume(o dispatch.SubscriptionOptions, f ...func(*consumer)) *consumer {
	n.t.Helper()
	if o.Group == "" {
		o.Group = "g"
	}
	if o.ConsumerID == "" {
		o.ConsumerID = "c-" + n.name
	}
	s, err := n.Subscribe(o)
	if err != nil {
		n.t.Fatal(err)
	}
	c := &consumer{Subscription: s, t: n.t, name: o.ConsumerID, have: map[string]uint32{}, ended: make(chan struct{}), owned: map[string]sio.Connection{}, unsure: map[string]bool{}}
	for _, f := range f {
		f(c)
	}
	n.members = append(n.members, c)
	go c.run()
	return c
}

func (c *consumer) run() {
	defer close(c.ended)
	for {
		for {
			taken, ok := c.Cancelled()
			if !ok {
				break
			}
			c.mu.Lock()
			c.taken = append(c.taken, taken)
			for _, id := range taken.IDs {
				delete(c.have, id)
			}
			c.mu.Unlock()
		}
		if c.takeHandover() {
			continue
		}
		d, ok, err := c.Poll()
		if err != nil {
			return
		}
		if !ok && c.takeHandover() {
			continue
		}
		if !ok {
			select {
			case <-c.News():
			case <-c.Done():
			}
			continue
		}
		c.mu.Lock()
		if _, owned := c.owned[d.ConnectionID]; c.options.Assignments && !owned && d.Kind != dispatch.Connecting {
			c.t.Errorf("%s: %s is delivered, and the consumer was not told that it owns the connection", c.name, show(d))
		}
		if d.Kind == dispatch.Disconnected {
			delete(c.owned, d.ConnectionID)
		}
		c.got = append(c.got, d)
		c.have[d.ID()] = d.Attempt
		c.most = max(c.most, len(c.have))
		c.mu.Unlock()
		if c.order != nil {
			c.order.mu.Lock()
			c.order.all = append(c.order.all, delivered{d.ConnectionID, d.Args})
			c.order.mu.Unlock()
		}
		go func() {
			time.Sleep(c.hold)
			if c.each != nil {
				c.each(c, d)
			} else {
				c.ack(d)
			}
		}()
	}
}

// takeHandover takes what there is to be told of what the consumer owns; false: nothing.
func (c *consumer) takeHandover() bool {
	h, told := c.Handover()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range h.Released {
		if _, owned := c.owned[id]; !owned {
			c.t.Errorf("%s: %s is released, which was not assigned", c.name, id)
		}
		delete(c.owned, id)
	}
	for _, v := range h.Assigned {
		if _, owned := c.owned[v.ID]; owned {
			c.t.Errorf("%s: %s is assigned twice", c.name, v.ID)
		}
		c.owned[v.ID] = v
		delete(c.unsure, v.ID)
	}
	for _, v := range h.Changed {
		if _, owned := c.owned[v.ID]; !owned {
			c.t.Errorf("%s: %s has changed, which was not assigned", c.name, v.ID)
		}
		c.owned[v.ID] = v
		delete(c.unsure, v.ID)
		c.changes++
	}
	return told
}

// owns returns the connections that the consumer knows to be its own.
func (c *consumer) owns() map[string]sio.Connection {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.owned)
}

// ack settles a delivery, unless it was taken back.
func (c *consumer) ack(d dispatch.Delivery) { c.settle(d, func() error { return c.Ack(d.ID()) }) }

// settle does so by f.
func (c *consumer) settle(d dispatch.Delivery, f func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.have[d.ID()] == d.Attempt {
		delete(c.have, d.ID())
		_ = f() // it may be about to be taken back
	}
}

// heard returns what the consumer got, as text.
func (c *consumer) heard() (all []string) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.got {
		all = append(all, show(d))
	}
	return all
}

func show(d dispatch.Delivery) string {
	switch d.Kind {
	case dispatch.Connecting:
		return "connecting"
	case dispatch.Connected:
		if d.Existing {
			return "existing"
		}
		return "connected"
	case dispatch.Disconnected:
		return "disconnected " + d.Reason
	case dispatch.RecoveryExpired:
		return "recovery " + d.Reason
	}
	return d.Name + d.Args
}
