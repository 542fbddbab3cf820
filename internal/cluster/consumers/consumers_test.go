package consumers

import (
	"encoding/json"
	"errors"
	"fmt"
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

// TestEventsOfPeers: a consumer at one node hears the browsers of all, each in order.
func TestEventsOfPeers(t *testing.T) {
	inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true})
		var clients []*wiretest.WS
		var ids []string
		for _, n := range nodes {
			ws, id := n.listener.Connect(t, "")
			clients, ids = append(clients, ws), append(ids, id)
		}
		for i := range 50 {
			for _, ws := range clients {
				ws.Say(fmt.Sprintf(`42["n",%d]`, i))
			}
		}
		time.Sleep(time.Second)
		for _, ws := range clients {
			ws.Close()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, id := range ids {
			var got []string
			for _, d := range c.got {
				if d.ConnectionID == id {
					got = append(got, show(d))
				}
			}
			want := []string{"connected"}
			for i := range 50 {
				want = append(want, fmt.Sprintf("n[%d]", i))
			}
			want = append(want, "disconnected transport close")
			if !slices.Equal(got, want) {
				t.Errorf("of %s: %q", nodes[i].name, got)
			}
		}
	})
}

// TestReplies: the answer of a consumer reaches the browser at another node, from any
// node, once.
func TestReplies(t *testing.T) {
	inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
		results := make(chan error, 10)
		nodes[0].consume(dispatch.SubscriptionOptions{}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				for _, n := range nodes {
					results <- n.Reply(d.ID(), nil, []byte(`["yes"]`), nil)
				}
				c.ack(d)
			}
		})
		ws, _ := nodes[1].listener.Connect(t, "")
		ws.Say(`427["ask"]`)
		if got := ws.Next(); got != `437["yes"]` {
			t.Errorf("the browser got %s", got)
		}
		if err := <-results; err != nil {
			t.Errorf("the first reply: %v", err)
		}
		for range 2 {
			if err := <-results; !errors.Is(err, dispatch.ErrNoReply) {
				t.Errorf("one more reply: %v", err)
			}
		}
		for _, id := range []string{"zzzzzxxxxxxxxxxxxxxx.1", "epoc3xxxxxxxxxxxxxxx.1"} {
			if err := nodes[0].Reply(id, nil, []byte(`[]`), nil); !errors.Is(err, dispatch.ErrNoReply) {
				t.Errorf("to %s: %v", id, err)
			}
		}
		ws.Close()
	})
}

// TestReplyToUnreachableNode: a reply to a browser whose node does not answer names that
// node; it is not said to be too late.
func TestReplyToUnreachableNode(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{}, func(c *consumer) { c.each = func(*consumer, dispatch.Delivery) {} })
		ws, _ := nodes[1].listener.Connect(t, "")
		ws.Say(`421["ask"]`)
		time.Sleep(time.Second)
		c.mu.Lock()
		id := c.got[0].ID()
		c.mu.Unlock()
		cut(memory, "n1", "n2")
		for _, when := range []string{"at once", "when it is suspected"} {
			away := (*sio.UnreachableError)(nil)
			if err := nodes[0].Reply(id, nil, []byte(`[]`), nil); !errors.As(err, &away) || away.Node != "n2" {
				t.Errorf("%s: %v", when, err)
			}
			time.Sleep(10 * time.Second)
		}
		heal(memory, "n1", "n2")
		time.Sleep(10 * time.Second)
		ws.Close()
	})
}

// TestVerdicts: browsers of any node are decided on by a consumer at one.
func TestVerdicts(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		nodes[0].consume(dispatch.SubscriptionOptions{Authorize: true, Lifecycle: true}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				if d.Kind != dispatch.Connecting {
					c.ack(d)
					return
				}
				if err := c.Ack(d.ID()); !errors.Is(err, dispatch.ErrNoVerdict) {
					t.Errorf("an ack of a CONNECTING: %v", err)
				}
				v := dispatch.Verdict{Allow: strings.Contains(d.Args, "good"), User: "u", Rooms: []string{"r"}, UserData: map[string]any{"k": "v"}, Message: "no"}
				if err := c.Verdict(d.ID(), v); err != nil {
					t.Error(err)
				}
			}
		})
		for _, n := range nodes {
			ws := n.listener.MustDialWS(t, "EIO=4&transport=websocket")
			ws.Next()
			ws.Say(`40{"token":"bad"}`)
			if got := ws.Next(); got != `44{"message":"no"}` {
				t.Errorf("%s: refused by %s", n.name, got)
			}
			ws.Say(`40{"token":"good"}`)
			if got := ws.Next(); !strings.HasPrefix(got, `40{"sid":"`+n.opts.Epoch) {
				t.Errorf("%s: admitted by %s", n.name, got)
			}
			ws.Close()
		}
	})
}

// TestAuthorisationIsEverywhere: what a group authorises holds at every node, those that
// come later too, and stays when its consumers have left.
func TestAuthorisationIsEverywhere(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{Authorize: true, Namespaces: []string{"/chat"}})
		c.Close()
		time.Sleep(time.Second)
		late := startNode(t, memory, "n3", "epoc3")
		defer late.stop()
		time.Sleep(2 * time.Second)
		for _, n := range append(nodes, late) {
			if err := n.Synced(t.Context()); err != nil {
				t.Error(err)
			}
			if got := n.local.Authorized(); !slices.Equal(got["g"], []string{"/chat"}) {
				t.Errorf("%s: %v", n.name, got)
			}
		}
		if n, _, err := late.DeleteGroup(nodes[0].t.Context(), "g"); n != 0 || err != nil {
			t.Errorf("DeleteGroup: %d, %v", n, err)
		}
		for _, n := range append(nodes, late) {
			if got := n.local.Authorized(); len(got) != 0 {
				t.Errorf("%s after DeleteGroup: %v", n.name, got)
			}
		}
	})
}

// TestMaxInFlight: the bound holds over all nodes together, and starves none.
func TestMaxInFlight(t *testing.T) {
	for _, most := range []int{1, 2, 3, 7, 100} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
				c := nodes[0].consume(dispatch.SubscriptionOptions{MaxInFlight: most}, func(c *consumer) { c.hold = 10 * time.Millisecond })
				var clients []*wiretest.WS
				for _, n := range nodes {
					for range 4 {
						ws, _ := n.listener.Connect(t, "")
						clients = append(clients, ws)
					}
				}
				for i := range 25 {
					for _, ws := range clients {
						ws.Say(fmt.Sprintf(`42["n",%d]`, i))
					}
				}
				time.Sleep(20 * time.Second)
				if got := len(c.heard()); got != 300 {
					t.Errorf("%d of 300 delivered", got)
				}
				c.mu.Lock()
				if c.most > most {
					t.Errorf("%d in flight at once, want at most %d", c.most, most)
				}
				// While all have something, each has its turn.
				first := map[string]int{}
				for _, d := range c.got[:150] {
					first[d.ConnectionID[:epochLength]]++
				}
				for _, n := range nodes {
					if first[n.opts.Epoch] < 15 {
						t.Errorf("of the first 150, %s has %d", n.name, first[n.opts.Epoch])
					}
				}
				c.mu.Unlock()
				time.Sleep(5 * time.Second)
				c.checkCredits(most)
				for _, ws := range clients {
					ws.Close()
				}
			})
		})
	}
}

// checkCredits checks that what may be in flight is all handed out or free, once
// nothing is in flight.
func (c *consumer) checkCredits(most int) {
	c.t.Helper()
	s := c.Subscription
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.credits.free + s.lost.holder.limit
	for _, h := range s.credits.holders {
		if h.limit < 0 {
			c.t.Errorf("a limit of %d", h.limit)
		}
		sum += h.limit
	}
	if sum != most || s.credits.free < 0 || len(s.flights) > 0 {
		c.t.Errorf("%d of %d credits, %d free, %d flights", sum, most, s.credits.free, len(s.flights))
	}
}

// TestMembersAtSeveralNodes: each connection belongs to one member, wherever both are;
// when a member leaves, others have its connections, with what it had not settled.
func TestMembersAtSeveralNodes(t *testing.T) {
	inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
		var members []*consumer
		order := &deliveries{}
		for _, n := range nodes {
			members = append(members, n.consume(dispatch.SubscriptionOptions{}, func(c *consumer) { c.order = order }))
		}
		var clients []*wiretest.WS
		for _, n := range nodes {
			for range 10 {
				ws, _ := n.listener.Connect(t, "")
				clients = append(clients, ws)
			}
		}
		for i := range 20 {
			for _, ws := range clients {
				ws.Say(fmt.Sprintf(`42["n",%d]`, i))
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		seen := map[string]int{}
		for _, h := range order.list() { // over all members: quiet connections may move
			if want := fmt.Sprintf("[%d]", seen[h.connection]); h.args != want {
				t.Errorf("%s: %s, want %s", h.connection, h.args, want)
			}
			seen[h.connection]++
		}
		for _, m := range members {
			m.mu.Lock()
			if len(m.got) == 0 {
				t.Errorf("%s has nothing to do", m.name)
			}
			m.got = nil
			m.mu.Unlock()
		}
		if len(seen) != 30 {
			t.Errorf("%d connections were heard of", len(seen))
		}
		members[1].each = func(*consumer, dispatch.Delivery) {} // it settles nothing any more
		for _, ws := range clients {
			ws.Say(`42["last"]`)
		}
		time.Sleep(time.Second)
		members[1].Close()
		time.Sleep(time.Second)
		got := map[string]bool{}
		for _, m := range []*consumer{members[0], members[2]} {
			m.mu.Lock()
			for _, d := range m.got {
				got[d.ConnectionID] = true
			}
			m.mu.Unlock()
		}
		if len(got) != 30 {
			t.Errorf("the last event of %d connections was delivered to those that are left", len(got))
		}
		for _, ws := range clients {
			ws.Close()
		}
	})
}

// TestReplaced: a consumer that joins anew at another node replaces itself.
func TestReplaced(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		first := nodes[0].consume(dispatch.SubscriptionOptions{ConsumerID: "same"})
		time.Sleep(time.Second)
		second := nodes[1].consume(dispatch.SubscriptionOptions{ConsumerID: "same"})
		time.Sleep(time.Second)
		if err := first.Err(); !errors.Is(err, dispatch.ErrReplaced) {
			t.Errorf("the first: %v", err)
		}
		if err := second.Err(); err != nil {
			t.Errorf("the second: %v", err)
		}
		ws, _ := nodes[0].listener.Connect(t, "")
		ws.Say(`42["n"]`)
		time.Sleep(time.Second)
		if got := second.heard(); !slices.Equal(got, []string{"n[]"}) {
			t.Errorf("the second heard %q", got)
		}
		for _, n := range nodes {
			if groups, _, _ := n.Groups(n.t.Context()); len(groups) != 1 || len(groups[0].Subscriptions) != 1 {
				t.Errorf("%s lists %+v", n.name, groups)
			}
		}
		ws.Close()
	})
}

// TestEndsEverywhere: whatever ends a consumer at one node ends it at all.
func TestEndsEverywhere(t *testing.T) {
	for name, end := range map[string]struct {
		by   func(n *testNode) error
		want error
	}{
		"DeleteGroup":        {func(n *testNode) error { _, _, err := n.DeleteGroup(n.t.Context(), "g"); return err }, dispatch.ErrGroupDeleted},
		"DisconnectConsumer": {func(n *testNode) error { _, err := n.DisconnectConsumer(n.t.Context(), "g", "c-n1"); return err }, dispatch.ErrDisconnected},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
				c := nodes[0].consume(dispatch.SubscriptionOptions{})
				if err := end.by(nodes[2]); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				if err := c.Err(); !errors.Is(err, end.want) {
					t.Errorf("it ended with %v", err)
				}
				for _, n := range nodes {
					for _, g := range n.local.Groups() {
						if len(g.Subscriptions) > 0 {
							t.Errorf("%s has %+v", n.name, g.Subscriptions)
						}
					}
				}
				if err := end.by(nodes[1]); err == nil {
					t.Error("there is something to end still")
				}
			})
		})
	}
}

// TestDrain: a consumer that drains gets nothing new, and has drained when it has settled
// what it had, from all nodes.
func TestDrain(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		var held []dispatch.Delivery
		c := nodes[0].consume(dispatch.SubscriptionOptions{}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				c.mu.Lock()
				held = append(held, d)
				c.mu.Unlock()
			}
		})
		ws, _ := nodes[1].listener.Connect(t, "")
		ws.Say(`42["before"]`)
		time.Sleep(time.Second)
		c.Drain()
		time.Sleep(time.Second)
		ws.Say(`42["after"]`)
		time.Sleep(time.Second)
		if got := c.heard(); !slices.Equal(got, []string{"before[]"}) {
			t.Errorf("it heard %q", got)
		}
		other := nodes[1].consume(dispatch.SubscriptionOptions{})
		time.Sleep(time.Second)
		if got := other.heard(); len(got) != 0 {
			t.Errorf("the other heard %q while the first has something in flight", got)
		}
		for _, d := range held {
			c.ack(d)
		}
		<-c.ended
		time.Sleep(time.Second)
		if got := other.heard(); !slices.Equal(got, []string{"after[]"}) {
			t.Errorf("the other heard %q", got)
		}
		ws.Close()
	})
}

// TestCutOff: events of a node that is cut off are handled there, by whom there is; the
// consumer is told what it has in vain, and hears the node again when it is back.
func TestCutOff(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				if d.Name != "held" {
					c.ack(d)
				}
			}
		})
		ws, id := nodes[1].listener.Connect(t, "")
		ws.Say(`42["held"]`)
		time.Sleep(time.Second)
		memory.Cut("n1", "n2")
		memory.Cut("n2", "n1")
		time.Sleep(10 * time.Second)
		ws.Say(`42["while away"]`)
		time.Sleep(time.Second)
		memory.Heal("n1", "n2")
		memory.Heal("n2", "n1")
		time.Sleep(10 * time.Second)
		c.mu.Lock()
		if len(c.taken) != 1 || c.taken[0].Reason != dispatch.NodeAway || !slices.Equal(c.taken[0].IDs, []string{id + ".2"}) {
			t.Errorf("taken back: %+v", c.taken)
		}
		c.mu.Unlock()
		if got, want := c.heard(), []string{"connected", "held[]", "held[]", "while away[]"}; !slices.Equal(got, want) {
			t.Errorf("it heard %q, want %q", got, want)
		}
		ws.Close()
	})
}

// TestNodeLost: the connections of a node that is gone end, for the member that each
// belonged to, once.
func TestNodeLost(t *testing.T) {
	inCluster(t, 3, func(memory *bus.Memory, nodes []*testNode) {
		members := []*consumer{
			nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true, Assignments: true}),
			nodes[1].consume(dispatch.SubscriptionOptions{Lifecycle: true, Assignments: true}),
			nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true, Assignments: true, ConsumerID: "another", MaxInFlight: 1}),
		}
		nodes[1].consume(dispatch.SubscriptionOptions{Group: "no lifecycle"})
		want := map[string]int{}
		for range 30 {
			_, id := nodes[2].listener.Connect(t, "")
			want[id]++
		}
		left, leftID := nodes[2].listener.Connect(t, "")
		stays, staysID := nodes[1].listener.Connect(t, "")
		time.Sleep(time.Second)
		left.Close()
		time.Sleep(time.Second)
		memory.Freeze("n3")
		time.Sleep(2 * time.Minute)
		got, connected := map[string]int{}, map[string]int{} // by any member: quiet connections may move
		for _, m := range members {
			m.mu.Lock()
			for _, d := range m.got {
				switch {
				case d.Kind == dispatch.Connected:
					connected[d.ConnectionID]++
				case d.Reason == dispatch.ReasonNodeLost:
					got[d.ConnectionID]++
					if d.Sequence != 0 || d.Namespace != "/" {
						t.Errorf("%s: an end of %s with sequence %d", m.name, d.ConnectionID, d.Sequence)
					}
				}
			}
			m.mu.Unlock()
		}
		for id := range want {
			if got[id] != 1 || connected[id] != 1 {
				t.Errorf("%d beginnings and %d ends of %s", connected[id], got[id], id)
			}
		}
		if got[leftID] != 0 || got[staysID] != 0 || len(got) != 30 {
			t.Errorf("ends of others: %d, %d, %d in all", got[leftID], got[staysID], len(got))
		}
		memory.Thaw("n3")
		time.Sleep(10 * time.Second)
		stays.Close()
		members[0].checkCredits(1000)
	})
}

// TestNodeLostOfAnotherUser: the end is of the user that the member was told of last.
func TestNodeLostOfAnotherUser(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		member := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true, Assignments: true})
		nodes[1].listener.Connect(t, "")
		time.Sleep(time.Second)
		user := "another"
		if _, err := nodes[1].server.Apply(t.Context(), sio.UpdateAll{To: sio.Target{Namespace: "/", Selector: room.Selector{All: true}}, Changes: sio.Changes{User: &user}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		memory.Freeze("n2")
		time.Sleep(2 * time.Minute)
		if got, want := member.heard(), []string{"connected", "disconnected node lost"}; !slices.Equal(got, want) {
			t.Fatalf("it heard %q, want %q", got, want)
		}
		if got := member.got[1].UserID; got != user {
			t.Errorf("the end is of the user %q, want %q", got, user)
		}
		memory.Thaw("n2")
		time.Sleep(5 * time.Second)
	})
}

// TestNodeLostIsHandedOn: an end that a member did not settle goes to another that asked
// for its namespace.
func TestNodeLostIsHandedOn(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		first := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true, ConsumerID: "first"}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				if d.Kind != dispatch.Disconnected {
					c.ack(d)
				}
			}
		})
		nodes[1].listener.Connect(t, "")
		time.Sleep(time.Second)
		memory.Freeze("n2")
		time.Sleep(2 * time.Minute)
		if got, want := first.heard(), []string{"connected", "disconnected node lost"}; !slices.Equal(got, want) {
			t.Errorf("the first heard %q", got)
		}
		elsewhere := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true, ConsumerID: "elsewhere", Namespaces: []string{"/elsewhere"}})
		second := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true, Assignments: true, ConsumerID: "second"})
		first.Close()
		time.Sleep(time.Second)
		if got, want := second.heard(), []string{"disconnected node lost"}; !slices.Equal(got, want) {
			t.Errorf("the second heard %q", got)
		}
		second.Close()
		time.Sleep(time.Second)
		if got := elsewhere.heard(); len(got) > 0 {
			t.Errorf("who asked for another namespace heard %q", got)
		}
		memory.Thaw("n2")
		time.Sleep(5 * time.Second)
	})
}

// TestNodeLostIsCounted: an end that nobody is left to hear is a delivery dropped.
func TestNodeLostIsCounted(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				if d.Kind != dispatch.Disconnected {
					c.ack(d)
				}
			}
		})
		nodes[1].listener.Connect(t, "")
		time.Sleep(time.Second)
		memory.Freeze("n2")
		time.Sleep(2 * time.Minute)
		if n := nodes[0].Stats().Dropped; n != 0 {
			t.Errorf("%d deliveries were dropped while the consumer was there", n)
		}
		c.Close()
		time.Sleep(time.Second)
		if n := nodes[0].Stats().Dropped; n != 1 {
			t.Errorf("%d deliveries were dropped, want the end", n)
		}
		memory.Thaw("n2")
		time.Sleep(5 * time.Second)
	})
}

// TestExisting: a consumer that comes is told of who is there, at every node.
func TestExisting(t *testing.T) {
	inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
		for _, n := range nodes {
			n.listener.Connect(t, "")
		}
		time.Sleep(time.Second)
		c := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true})
		time.Sleep(5 * time.Second)
		if got, want := c.heard(), []string{"existing", "existing", "existing"}; !slices.Equal(got, want) {
			t.Errorf("it heard %q", got)
		}
	})
}

// TestStalled: a consumer that does not read what came from elsewhere ends.
func TestStalled(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		s, err := nodes[0].Subscribe(dispatch.SubscriptionOptions{Group: "g", ConsumerID: "c"})
		if err != nil {
			t.Fatal(err)
		}
		ws, _ := nodes[1].listener.Connect(t, "")
		ws.Say(`42["n"]`)
		time.Sleep(time.Minute)
		if !errors.Is(s.Err(), dispatch.ErrStalled) {
			t.Errorf("it ended with %v", s.Err())
		}
		if n := nodes[0].Stats().StalledConsumers; n != 1 {
			t.Errorf("%d consumers stalled", n)
		}
		c := nodes[0].consume(dispatch.SubscriptionOptions{})
		time.Sleep(time.Second)
		if got := c.heard(); !slices.Equal(got, []string{"n[]"}) {
			t.Errorf("another heard %q", got)
		}
		ws.Close()
	})
}

// TestAnyCourse: whatever members come, leave, refuse and hang, and however the nodes
// lose each other for a while, every event is delivered, in order for each connection,
// and settled in the end; no credit is lost.
func TestAnyCourse(t *testing.T) {
	for seed := range uint64(4) {
		inCluster(t, 3, func(memory *bus.Memory, nodes []*testNode) {
			random := rand.New(rand.NewPCG(seed, 7))
			var clients []*wiretest.WS
			var ids []string
			for _, n := range nodes {
				for range 5 {
					ws, id := n.listener.Connect(t, "")
					clients, ids = append(clients, ws), append(ids, id)
				}
			}
			time.Sleep(time.Second) // who talks while his CONNECTED waits for other nodes holds up the bubble
			var all []*consumer
			var there []*consumer
			come := func() {
				n := nodes[random.IntN(3)]
				faulty, postpones := random.IntN(3) == 0, random.IntN(2) == 0
				c := n.consume(dispatch.SubscriptionOptions{Assignments: random.IntN(3) > 0, ConsumerID: fmt.Sprint("m", len(all)), MaxInFlight: 1 + random.IntN(20), AckWait: 5 * time.Second, OneByOne: random.IntN(3) == 0}, func(c *consumer) {
					c.hold = time.Duration(random.IntN(50)) * time.Millisecond
					c.each = func(c *consumer, d dispatch.Delivery) {
						if faulty && d.Attempt < 3 && (d.Sequence+uint64(d.Attempt))%5 == 0 {
							giveBack := c.Nack
							if postpones {
								giveBack = c.Postpone
							}
							c.settle(d, func() error { return giveBack(d.ID(), time.Millisecond) })
							return
						}
						c.ack(d)
					}
				})
				all, there = append(all, c), append(there, c)
			}
			come()
			sent := 0
			for range 60 {
				for range 1 + random.IntN(5) {
					for _, ws := range clients {
						ws.Say(fmt.Sprintf(`42["n",%d]`, sent))
					}
					sent++
				}
				switch random.IntN(6) {
				case 0:
					come()
				case 1:
					if len(there) > 1 {
						i := random.IntN(len(there))
						there[i].Close()
						there = slices.Delete(there, i, i+1)
					}
				case 2:
					if len(there) > 1 {
						i := random.IntN(len(there))
						there[i].Drain()
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
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			// The first delivery of each event, over all members, in the order of the events.
			got := map[string]map[string]bool{}
			for _, id := range ids {
				got[id] = map[string]bool{}
			}
			for _, c := range all {
				c.mu.Lock()
				for _, d := range c.got {
					got[d.ConnectionID][d.Args] = true
				}
				c.mu.Unlock()
			}
			for _, id := range ids {
				if len(got[id]) != sent {
					t.Errorf("seed %d: %d of %d events of %s were delivered", seed, len(got[id]), sent, id)
				}
			}
			for _, n := range nodes {
				for _, g := range n.local.Groups() {
					if g.Waiting > 0 || g.InFlight > 0 {
						t.Errorf("seed %d: %s: %d wait, %d in flight", seed, n.name, g.Waiting, g.InFlight)
					}
				}
			}
			for _, c := range there {
				if err := c.Err(); err != nil {
					t.Errorf("seed %d: %s ended: %v", seed, c.name, err)
					continue
				}
				c.checkCredits(c.options.MaxInFlight)
				if n, own := c.ownsAt(nodes), c.owns(); c.options.Assignments && len(own) != n {
					t.Errorf("seed %d: %s knows of %d connections, and owns %d", seed, c.name, len(own), n)
				}
				c.mu.Lock()
				if c.most > c.options.MaxInFlight {
					t.Errorf("seed %d: %s had %d at once, want at most %d", seed, c.name, c.most, c.options.MaxInFlight)
				}
				c.mu.Unlock()
			}
			for _, ws := range clients {
				ws.Close()
			}
		})
	}
}

// TestReturnElsewhere: what browsers did before they came back to another node comes
// before their return, which is told as one; what follows is that node's, and is answered
// there.
func TestReturnElsewhere(t *testing.T) {
	inCluster(t, 3, func(_ *bus.Memory, nodes []*testNode) {
		c := nodes[1].consume(dispatch.SubscriptionOptions{Lifecycle: true}, func(c *consumer) {
			c.hold = 200 * time.Millisecond
			c.each = func(c *consumer, d dispatch.Delivery) {
				if d.ReplyExpected {
					if err := nodes[1].Reply(d.ID(), nil, []byte(`["yes"]`), nil); err != nil {
						t.Errorf("%s: %v", d.ID(), err)
					}
				}
				c.ack(d)
			}
		})
		var pid string
		connect := func(n *testNode) *wiretest.WS {
			ws := n.listener.MustDialWS(t, "EIO=4&transport=websocket")
			ws.Next()
			ws.Say(fmt.Sprintf(`40{"pid":%q}`, pid))
			var said struct{ SID, PID string }
			if err := json.Unmarshal([]byte(strings.TrimPrefix(ws.Next(), "40")), &said); err != nil {
				t.Fatal(err)
			}
			if pid != "" && said.PID != pid {
				t.Errorf("at %s it is somebody new", n.name)
			}
			pid = said.PID
			return ws
		}
		ws := connect(nodes[0])
		ws.Say(`42["before"]`)
		ws.Close()
		synctest.Wait()
		for _, n := range []*testNode{nodes[2], nodes[0]} {
			ws = connect(n)
			ws.Say(`427["ask"]`)
			if got := ws.Next(); got != `437["yes"]` {
				t.Errorf("the browser got %s", got)
			}
			ws.Close()
			synctest.Wait()
		}
		time.Sleep(5 * time.Second)
		want := []string{"connected", "before[]"}
		for range 2 {
			want = append(want, "disconnected transport close", "connected", "ask[]")
		}
		want = append(want, "disconnected transport close")
		if got := c.heard(); !slices.Equal(got, want) {
			t.Errorf("heard %q, want %q", got, want)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for i, d := range c.got {
			recovered := i == 3 || i == 6
			if d.Sequence != uint64(i+1) && !recovered || d.Kind == dispatch.Connected && d.Connection.Recovered() != recovered {
				t.Errorf("delivery %d: %s, sequence %d, %+v", i, show(d), d.Sequence, d.Connection)
			}
		}
	})
}

// TestTail: who watches at one node sees what browsers of all do, those of a node that
// joins meanwhile too, is told which do not answer, and how much it missed.
func TestTail(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		tail, err := nodes[0].Tail(dispatch.TailFilter{Events: []string{"seen"}, Kinds: []dispatch.Kind{dispatch.Message}})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, startNode(t, memory, "n3", "epoc3"))
		defer nodes[2].stop()
		time.Sleep(3 * time.Second)
		var clients []*wiretest.WS
		seen := func(text string, from ...*testNode) {
			t.Helper()
			for i := range from {
				clients[slices.Index(nodes, from[i])].Say(fmt.Sprintf(`42["seen",%q]`, text))
				clients[slices.Index(nodes, from[i])].Say(`42["other"]`)
			}
			time.Sleep(3 * time.Second)
			var got []string
			for range from {
				select {
				case e := <-tail.Events():
					tail.Took(e)
					got = append(got, e.Args)
				default:
					t.Fatalf("%s: saw %d of %d", text, len(got), len(from))
				}
			}
			want := slices.Repeat([]string{fmt.Sprintf("[%q]", text)}, len(from))
			if !slices.Equal(got, want) || len(tail.Events()) > 0 {
				t.Errorf("%s: saw %q, and %d more", text, got, len(tail.Events()))
			}
		}
		for _, n := range nodes {
			ws, _ := n.listener.Connect(t, "")
			clients = append(clients, ws)
		}
		seen("all", nodes...)

		memory.Cut("n1", "n2")
		time.Sleep(10 * time.Second)
		if away := tail.Unreachable(); !slices.Equal(away, []string{"n2"}) {
			t.Errorf("unreachable: %q", away)
		}
		seen("the others", nodes[0], nodes[2])
		memory.Heal("n1", "n2")
		time.Sleep(5 * time.Second)
		if away := tail.Unreachable(); len(away) > 0 {
			t.Errorf("unreachable when healed: %q", away)
		}
		seen("all again", nodes...)

		for range 3000 { // more than anybody keeps
			clients[1].Say(`42["seen","many"]`)
		}
		time.Sleep(5 * time.Second)
		got := len(tail.Events())
		if missed := tail.Dropped(); got == 0 || uint64(got)+missed != 3000 {
			t.Errorf("saw %d and missed %d of 3000", got, missed)
		}

		tail.Stop()
		tail.Stop()
		time.Sleep(2 * watchWait)
		for _, n := range nodes {
			n.mu.Lock()
			for _, p := range n.peers {
				p.mu.Lock()
				if len(p.watches) > 0 {
					t.Errorf("%s: %d watches are left", n.name, len(p.watches))
				}
				p.mu.Unlock()
			}
			n.mu.Unlock()
		}
		for _, ws := range clients {
			ws.Close()
		}
	})
}
