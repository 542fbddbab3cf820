package consumers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// ownsAt returns how many connections the consumer owns at these nodes.
func (c *consumer) ownsAt(nodes []*testNode) (n int) {
	synctest.Wait()
	for _, node := range nodes {
		for _, g := range node.local.Groups() {
			for _, s := range g.Subscriptions {
				if s.ConsumerID == c.name {
					n += s.Connections
				}
			}
		}
	}
	return n
}

// TestTakeOver: a consumer is killed while it owns 1,000 connections at several nodes: the
// one that takes over, at another node, has all of them as they are now, before their next
// event.
func TestTakeOver(t *testing.T) {
	const each = 334
	inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
		o := dispatch.SubscriptionOptions{Lifecycle: true, Assignments: true, MaxInFlight: 10_000}
		o.ConsumerID = "dead"
		dead := nodes[0].consume(o)
		var all []*wiretest.WS
		for _, n := range nodes {
			for range each {
				ws, _ := n.listener.Connect(t, "")
				all = append(all, ws)
				defer ws.Close()
			}
		}
		time.Sleep(time.Second)
		if n := len(dead.owns()); n != len(all) {
			t.Errorf("the first owns %d connections, want %d", n, len(all))
		}
		dead.Close()
		time.Sleep(time.Second)
		_, err := nodes[1].node.Apply(context.Background(), sio.Join{To: sio.Target{Namespace: "/", Selector: room.Selector{All: true}}, Rooms: []string{"later"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, ws := range all {
			ws.Say(`42["next"]`)
		}
		time.Sleep(time.Second)
		o.ConsumerID = "next"
		next := nodes[2].consume(o)
		time.Sleep(10 * time.Second)
		own := next.owns()
		if len(own) != len(all) || len(next.heard()) != len(all) {
			t.Errorf("the next one owns %d connections and heard %d events", len(own), len(next.heard()))
		}
		for _, c := range own {
			if !slices.Contains(c.Rooms, "later") || c.Handshake.URL == "" || c.Handshake.Query["EIO"] != "4" || c.ConnectedAt.IsZero() {
				t.Fatalf("connection %+v", c)
			}
		}
	})
}

// TestUnreadHandovers: what a consumer does not read stays at the nodes that hold the
// connections, but for a bounded part.
func TestUnreadHandovers(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		const browsers = 500
		for range browsers {
			ws, _ := nodes[1].listener.Connect(t, "")
			defer ws.Close()
		}
		var rooms []string
		for i := range 20 {
			rooms = append(rooms, strings.Repeat("x", 900)+string(rune('a'+i)))
		}
		_, err := nodes[1].node.Apply(context.Background(), sio.Join{To: sio.Target{Namespace: "/", Selector: room.Selector{All: true}}, Rooms: rooms})
		if err != nil {
			t.Fatal(err)
		}
		s, err := nodes[0].Subscribe(dispatch.SubscriptionOptions{Group: "g", ConsumerID: "c", Assignments: true})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		waiting := func() (connections int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, d := range s.ready {
				connections += len(d.handover.Assigned)
			}
			return connections
		}
		// Each is of 18 KiB and more.
		if n, most := waiting(), (maxUnreadHandover+100*20<<10)/(18<<10); n == 0 || n > most {
			t.Errorf("%d connections wait at the home, want %d at most", n, most)
		}
		read, pieces := 0, 0
		for h, ok := s.Handover(); ok || read < browsers && pieces < 1000; h, ok = s.Handover() {
			read += len(h.Assigned)
			pieces++
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		if read != browsers || pieces < browsers*18/256/2 {
			t.Errorf("%d connections were read, in %d pieces", read, pieces)
		}
		s.Close()
	})
}

// TestHandoverOverACut: when nodes lose each other for a while a consumer keeps what it
// owned elsewhere, and is told what became of it once it can be known.
func TestHandoverOverACut(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{Assignments: true})
		ws, id := nodes[1].listener.Connect(t, "")
		defer ws.Close()
		time.Sleep(time.Second)
		if own := c.owns(); len(own) != 1 {
			t.Fatalf("it owns %v", own)
		}
		cut(memory, "n1", "n2")
		time.Sleep(10 * time.Second)
		other := nodes[1].consume(dispatch.SubscriptionOptions{Assignments: true, ConsumerID: "other"})
		time.Sleep(5 * time.Second)
		if own, others := c.owns(), other.owns(); len(own) != 1 || len(others) != 1 {
			t.Errorf("while they are apart one owns %v, the other %v", own, others)
		}
		heal(memory, "n1", "n2")
		time.Sleep(30 * time.Second)
		if own, others := c.owns(), other.owns(); len(own)+len(others) != 1 {
			t.Errorf("then one owns %v, the other %v", own, others)
		}
		other.Close()
		time.Sleep(time.Second)
		if own := c.owns(); own[id].ID != id {
			t.Errorf("alone it owns %v", own)
		}
		memory.Freeze("n2")
		time.Sleep(2 * time.Minute)
		if own := c.owns(); len(own) != 0 {
			t.Errorf("of a node that is gone it owns %v", own)
		}
		memory.Thaw("n2")
		time.Sleep(30 * time.Second)
		if own := c.owns(); own[id].ID != id {
			t.Errorf("of a node that is back it owns %v", own)
		}
	})
}

// joins has one of the connections that the consumer knows to be its own join a room, or leave it.
func (c *consumer) joins(random *rand.Rand, n *testNode, room string) {
	c.t.Helper()
	c.mu.Lock()
	ids := slices.Sorted(maps.Keys(c.owned))
	if len(ids) == 0 {
		c.mu.Unlock()
		return
	}
	v := c.owned[ids[random.IntN(len(ids))]]
	by := sio.Owner{Group: "g", ConsumerID: c.name}.Actor()
	op := sio.Op(sio.Leave{To: only(v.ID), Rooms: []string{room}, By: by})
	v.Rooms = slices.DeleteFunc(slices.Clone(v.Rooms), func(name string) bool { return name == room })
	if random.IntN(2) == 0 {
		op, v.Rooms = sio.Join{To: only(v.ID), Rooms: []string{room}, By: by}, append(v.Rooms, room)
	}
	c.owned[v.ID] = v
	c.mu.Unlock()
	result, err := n.node.Apply(context.Background(), op)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, owned := c.owned[v.ID]; owned && (err != nil || len(result.Unreachable) > 0) {
		c.unsure[v.ID] = true
	}
}

func only(id string) sio.Target {
	return sio.Target{Namespace: "/", Selector: room.Selector{IDs: []string{id}}}
}

// TestHandoverAnyCourse: whatever consumers and browsers come and go, and however the nodes
// lose each other, nothing is delivered to a consumer that was not told it owns the
// connection, and in the end each knows what it owns, as it is.
func TestHandoverAnyCourse(t *testing.T) {
	changes, compared := 0, 0
	for seed := range uint64(4) {
		inCluster(t, 3, func(memory *bus.Memory, nodes []*testNode) {
			random := rand.New(rand.NewPCG(seed, 8))
			var clients []*wiretest.WS
			var there []*consumer
			born := 0
			come := func() {
				born++
				o := dispatch.SubscriptionOptions{
					ConsumerID: fmt.Sprint("m", born), Assignments: random.IntN(4) > 0, Lifecycle: random.IntN(4) > 0,
					SkipExisting: random.IntN(4) == 0, MaxInFlight: 1 + random.IntN(20), AckWait: time.Second,
				}
				there = append(there, nodes[random.IntN(3)].consume(o, func(c *consumer) {
					c.hold = time.Duration(random.IntN(50)) * time.Millisecond
					c.each = func(c *consumer, d dispatch.Delivery) {
						switch (d.Sequence + uint64(d.Attempt)) % 7 {
						case 0:
							c.settle(d, func() error { return c.Nack(d.ID(), time.Millisecond) })
						case 1: // is late
						default:
							c.ack(d)
						}
					}
				}))
			}
			come()
			for range 80 {
				for range 1 + random.IntN(3) {
					ws, _ := nodes[random.IntN(3)].listener.Connect(t, "")
					clients = append(clients, ws)
				}
				time.Sleep(time.Second) // who talks while his CONNECTED waits for other nodes holds up the bubble
				for _, ws := range clients {
					ws.Say(`42["n"]`)
				}
				for len(clients) > 10 {
					i := random.IntN(len(clients))
					clients[i].Close()
					clients = slices.Delete(clients, i, i+1)
				}
				for range 3 {
					r, at := fmt.Sprint("r", random.IntN(3)), nodes[random.IntN(3)]
					op := sio.Op(sio.Join{To: sio.Target{Namespace: "/", Selector: room.Selector{All: true}}, Rooms: []string{r}})
					if random.IntN(2) == 0 {
						op = sio.Leave{To: sio.TargetOf(op), Rooms: []string{r}}
					}
					if _, err := at.node.Apply(context.Background(), op); err != nil {
						t.Errorf("%T: %v", op, err)
					}
					there[random.IntN(len(there))].joins(random, at, r)
				}
				switch random.IntN(6) {
				case 0:
					come()
				case 1, 2:
					if i := random.IntN(len(there)); len(there) > 1 {
						if random.IntN(2) == 0 {
							there[i].Close()
						} else {
							there[i].Drain()
						}
						there = slices.Delete(there, i, i+1)
					}
				case 3:
					a, b := nodes[random.IntN(3)].name, nodes[random.IntN(3)].name
					if a != b {
						memory.Cut(a, b)
						time.Sleep(time.Duration(random.IntN(8000)) * time.Millisecond)
						memory.Heal(a, b)
					}
				}
				time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
			}
			time.Sleep(3 * time.Minute)
			for _, n := range nodes {
				for _, s := range n.local.Groups()[0].Subscriptions {
					if s.QueuedBytes > 0 && s.InFlight == 0 {
						t.Errorf("seed %d: %d bytes wait at %s for %s, who has nothing", seed, s.QueuedBytes, n.name, s.ConsumerID)
					}
				}
			}
			for _, c := range there {
				if n, own := c.ownsAt(nodes), c.owns(); c.options.Assignments && len(own) != n {
					t.Errorf("seed %d: %s knows of %d connections, and owns %d", seed, c.name, len(own), n)
				}
				changes += c.changes
				for id, v := range c.owns() {
					now, err := nodes[0].node.Connection(context.Background(), "/", id)
					if c.unsure[id] || errors.Is(err, sio.ErrNotFound) { // it waits to hear of the end
						continue
					}
					if slices.Sort(v.Rooms); err != nil || !slices.Equal(v.Rooms, slices.Sorted(slices.Values(now.Rooms))) {
						t.Errorf("seed %d: %s knows %s to be in %q, and it is in %q, %v", seed, c.name, id, v.Rooms, now.Rooms, err)
					}
					compared++
				}
			}
			for _, c := range there {
				c.Close()
			}
			for _, ws := range clients {
				ws.Close()
			}
			time.Sleep(time.Second)
		})
	}
	if changes == 0 || compared == 0 {
		t.Errorf("%d changes were told, %d connections compared", changes, compared)
	}
}
