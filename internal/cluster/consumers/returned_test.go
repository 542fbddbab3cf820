package consumers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// TestReturned: of a connection that a group was told is lost, and that lives after all,
// the group is told before anything else of it, at each time.
func TestReturned(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true})
		skips := nodes[0].consume(dispatch.SubscriptionOptions{Group: "skips", Lifecycle: true, SkipExisting: true})
		other := nodes[0].consume(dispatch.SubscriptionOptions{Group: "other"})
		ws, id := nodes[1].listener.Connect(t, "")
		ws.Idle()
		gone, _ := nodes[1].listener.Connect(t, "")
		gone.Idle()
		ws.Say(`42["before"]`)
		time.Sleep(time.Second)
		for range 2 {
			memory.Freeze("n2") // by its end the group is forgotten there, too
			time.Sleep(2 * time.Minute)
			gone.Close()
			time.Sleep(time.Second)
			memory.Thaw("n2")
			time.Sleep(10 * time.Second)
		}
		ws.Say(`42["after"]`)
		time.Sleep(time.Second)
		ws.Close()
		time.Sleep(time.Second)
		want := []string{
			"connected", "before[]", "disconnected node lost", "returned",
			"disconnected node lost", "returned", "after[]", "disconnected transport close",
		}
		if got := c.heardOf(id); !slices.Equal(got, want) {
			t.Errorf("it heard %q, want %q", got, want)
		}
		// Who skips those that exist is told when something happens.
		want = []string{"connected", "before[]", "disconnected node lost", "returned", "after[]", "disconnected transport close"}
		if got := skips.heardOf(id); !slices.Equal(got, want) {
			t.Errorf("who skips heard %q, want %q", got, want)
		}
		if got, want := other.heard(), []string{"before[]", "after[]"}; !slices.Equal(got, want) {
			t.Errorf("a group without lifecycle heard %q, want %q", got, want)
		}
	})
}

// heardOf returns what the consumer got of one connection, nothing of it twice.
func (c *consumer) heardOf(connection string) (got []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[string]bool{}
	for _, d := range c.got {
		if d.ConnectionID != connection {
			continue
		}
		if d.Sequence > 0 && seen[d.ID()] {
			c.t.Errorf("%s was delivered twice to %s", d.ID(), c.name)
		}
		seen[d.ID()] = true
		what := show(d)
		if v := d.Current(dispatch.ViewDefault); d.Kind == dispatch.Connected && v != nil && v.Recovered() {
			what = "returned"
		}
		got = append(got, what)
	}
	return got
}

// TestReturnedBeforeWhatWaits: a group that has a member at the node that is back goes on
// there; what it has of the connection that is not delivered comes after its return.
func TestReturnedBeforeWhatWaits(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true})
		ws, id := nodes[1].listener.Connect(t, "")
		ws.Idle()
		time.Sleep(time.Second)
		memory.Freeze("n2")
		there := nodes[1].consume(dispatch.SubscriptionOptions{Lifecycle: true, MaxInFlight: 1}, func(c *consumer) {
			c.each = func(*consumer, dispatch.Delivery) {} // it is stuck
		})
		time.Sleep(2 * time.Minute)
		for i := range 3 {
			ws.Say(fmt.Sprintf(`42["while away",%d]`, i))
		}
		time.Sleep(time.Second)
		memory.Thaw("n2")
		time.Sleep(10 * time.Second)
		there.Close()
		time.Sleep(10 * time.Second)
		if got, want := there.heardOf(id), []string{"while away[0]"}; !slices.Equal(got, want) {
			t.Errorf("the member there heard %q, want %q", got, want)
		}
		want := []string{"connected", "disconnected node lost", "while away[0]", "returned", "while away[1]", "while away[2]"}
		if got := c.heardOf(id); !slices.Equal(got, want) {
			t.Errorf("it heard %q, want %q", got, want)
		}
	})
}

// TestReturnedUntold: an end that was not delivered before the node is back is no news,
// nor is its return.
func TestReturnedUntold(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{Lifecycle: true, MaxInFlight: 1}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				if d.Kind != dispatch.Disconnected {
					c.ack(d)
				}
			}
		})
		for range 3 {
			nodes[1].listener.Connect(t, "")
		}
		time.Sleep(time.Second)
		memory.Freeze("n2")
		time.Sleep(2 * time.Minute)
		memory.Thaw("n2")
		time.Sleep(10 * time.Second)
		c.mu.Lock()
		var first dispatch.Delivery
		for _, d := range c.got {
			if d.Kind == dispatch.Disconnected {
				first = d
			}
		}
		c.mu.Unlock()
		c.ack(first)
		time.Sleep(10 * time.Second)
		got := c.heardOf(first.ConnectionID)
		if want := []string{"connected", "disconnected node lost", "returned"}; !slices.Equal(got, want) {
			t.Errorf("it heard %q, want %q", got, want)
		}
		ends := 0
		for _, what := range c.heard() {
			if what == "disconnected node lost" {
				ends++
			}
		}
		if ends != 1 {
			t.Errorf("%d ends were told", ends)
		}
	})
}

// TestToldLost: what is remembered of nodes that are gone is bounded, and is of one epoch.
func TestToldLost(t *testing.T) {
	var all toldLost
	ids := make([]string, maxToldLost/2)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	for _, name := range []string{"a", "b", "c"} {
		all.add(&peer{name: name, epoch: "1"}, "g", ids)
		all.add(&peer{name: name, epoch: "1"}, "g", ids[:10])
	}
	if all.total != maxToldLost || all.take("a") != nil {
		t.Errorf("%d connections are remembered", all.total)
	}
	all.add(&peer{name: "b", epoch: "2"}, "g", ids[:10])
	if n := all.take("b"); n.epoch != "2" || n.total != 10 {
		t.Errorf("of b: epoch %s, %d connections", n.epoch, n.total)
	}
	if n := all.take("c"); n.total != len(ids) || all.total != 0 {
		t.Errorf("of c: %d connections, and %d are left", n.total, all.total)
	}
}
