package consumers

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// TestReplacedAtTheSameMoment: of two consumers with one id that join at two nodes at the
// same time, one stays, at both.
func TestReplacedAtTheSameMoment(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		var both [2]*Subscription
		var joining sync.WaitGroup
		for i, n := range nodes {
			joining.Go(func() {
				s, err := n.Subscribe(dispatch.SubscriptionOptions{Group: "g", ConsumerID: "same"})
				if err != nil {
					t.Error(err)
				}
				both[i] = s
			})
		}
		joining.Wait()
		time.Sleep(time.Second)
		living := 0
		for _, s := range both {
			if err := s.Err(); err == nil {
				living++
			} else if !errors.Is(err, dispatch.ErrReplaced) {
				t.Error(err)
			}
		}
		if living != 1 {
			t.Errorf("%d consumers are left", living)
		}
		for _, n := range nodes {
			if g := n.local.Groups(); len(g) != 1 || len(g[0].Subscriptions) != 1 {
				t.Errorf("%s has %+v", n.name, g)
			}
		}
		for _, s := range both {
			s.Close()
		}
	})
}

// TestTaken: an id that another caller has at another node is taken, for who may replace its
// own only, and its consumer goes on, also where nodes lose sight of each other.
func TestTaken(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		o := dispatch.SubscriptionOptions{Group: "g", ConsumerID: "same", Caller: "a"}
		first := nodes[0].consume(o)
		o.Caller, o.OnlyOwn = "b", true
		if _, err := nodes[1].Subscribe(o); !errors.Is(err, dispatch.ErrTaken) {
			t.Errorf("at the other node: %v, want ErrTaken", err)
		}
		if _, err := nodes[0].Subscribe(o); !errors.Is(err, dispatch.ErrTaken) {
			t.Errorf("at the same node: %v, want ErrTaken", err)
		}
		memory.Freeze("n2")
		// Who cannot know of the other joins, and is told when it can be.
		second, err := nodes[1].Subscribe(o)
		if err != nil && !errors.Is(err, dispatch.ErrTaken) {
			t.Fatal(err)
		}
		memory.Thaw("n2")
		time.Sleep(2 * time.Minute)
		if second != nil && !errors.Is(second.Err(), dispatch.ErrTaken) {
			t.Errorf("the second: %v, want ErrTaken", second.Err())
		}
		if err := first.Err(); err != nil {
			t.Errorf("the first: %v", err)
		}
		for _, n := range nodes {
			if g := n.local.Groups(); len(g) != 1 || len(g[0].Subscriptions) != 1 {
				t.Errorf("%s has %+v", n.name, g)
			}
		}
		o.Caller = "a"
		third, err := nodes[1].Subscribe(o)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := first.Err(); !errors.Is(err, dispatch.ErrReplaced) {
			t.Errorf("the first: %v, want that its caller replaced it", err)
		}
		third.Close()
	})
}

// TestReplacedByASlowClock: a consumer that moves to a node whose clock is behind is the
// later one still.
func TestReplacedByASlowClock(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		ahead := name{"g", "same"}
		nodes[0].joinings.newer(ahead, joining{time.Now().Add(time.Minute).UnixNano(), "zzzzz"})
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
	})
}

// TestNackIsAnswered: a nack of a delivery from another node is answered by cancelled,
// which names it and what was in flight behind it.
func TestNackIsAnswered(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		var refused atomic.Bool
		c := nodes[0].consume(dispatch.SubscriptionOptions{}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				switch {
				case d.Name == "b" && refused.CompareAndSwap(false, true):
					time.Sleep(time.Second) // c is in flight, too
					if err := c.Nack(d.ID(), time.Second); err != nil {
						t.Error(err)
					}
					if err := c.Ack(d.ID()); !errors.Is(err, dispatch.ErrNotInFlight) {
						t.Errorf("an ack of what was refused: %v", err)
					}
				case d.Attempt == 1 && d.Name == "c":
				default:
					c.ack(d)
				}
			}
		})
		ws, id := nodes[1].listener.Connect(t, "")
		for _, m := range []string{`42["a"]`, `42["b"]`, `42["c"]`} {
			ws.Say(m)
		}
		time.Sleep(10 * time.Second)
		if got, want := c.heard(), []string{"a[]", "b[]", "c[]", "b[]", "c[]"}; !slices.Equal(got, want) {
			t.Errorf("it heard %q", got)
		}
		c.mu.Lock()
		if len(c.taken) != 1 || c.taken[0].Reason != dispatch.GivenBack || !slices.Equal(c.taken[0].IDs, []string{id + ".3", id + ".4"}) {
			t.Errorf("taken back: %+v", c.taken)
		}
		c.mu.Unlock()
		time.Sleep(time.Second)
		c.checkCredits(1000)
		ws.Close()
	})
}

// TestAuthorisationSurvivesACut: what a group begins to authorise while nodes are cut off
// from each other holds at both when they are not any more, though its consumer has left.
func TestAuthorisationSurvivesACut(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		cut(memory, "n1", "n2")
		time.Sleep(2 * time.Minute) // each takes the other for gone
		c := nodes[0].consume(dispatch.SubscriptionOptions{Authorize: true})
		c.Close()
		time.Sleep(time.Second)
		heal(memory, "n1", "n2")
		time.Sleep(10 * time.Second)
		if got := nodes[1].local.Authorized(); len(got["g"]) != 1 {
			t.Errorf("the other node has %v", got)
		}
	})
}

func cut(m *bus.Memory, a, b string)  { m.Cut(a, b); m.Cut(b, a) }
func heal(m *bus.Memory, a, b string) { m.Heal(a, b); m.Heal(b, a) }

// TestUnreadIsNoAttempt: what a consumer has never read did not bring it down.
func TestUnreadIsNoAttempt(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		ws, _ := nodes[1].listener.Connect(t, "")
		settles := nodes[0].consume(dispatch.SubscriptionOptions{ConsumerID: "c"}) // so that what it asks for is remembered
		ws.Say(`42["settled"]`)
		time.Sleep(time.Second)
		settles.Close()
		for i := range 12 {
			s, err := nodes[0].Subscribe(dispatch.SubscriptionOptions{Group: "g", ConsumerID: "c"})
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				ws.Say(`42["n"]`)
			}
			time.Sleep(time.Second)
			s.Close()
		}
		c := nodes[0].consume(dispatch.SubscriptionOptions{ConsumerID: "last"})
		time.Sleep(time.Second)
		c.mu.Lock()
		if len(c.got) != 1 || c.got[0].Attempt != 1 {
			t.Errorf("it got %+v", c.got)
		}
		c.mu.Unlock()
		ws.Close()
	})
}

// TestCutsAreNoAttempts: however often nodes lose each other, no event that was in flight
// becomes a dead letter for it.
func TestCutsAreNoAttempts(t *testing.T) {
	inCluster(t, 2, func(memory *bus.Memory, nodes []*testNode) {
		var done atomic.Bool
		c := nodes[0].consume(dispatch.SubscriptionOptions{AckWait: time.Hour}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				if done.Load() {
					c.ack(d)
				}
			}
		})
		ws, _ := nodes[1].listener.Connect(t, "")
		ws.Say(`42["n"]`)
		time.Sleep(time.Second)
		for i := range 24 {
			switch i % 3 {
			case 0:
				cut(memory, "n1", "n2")
			case 1:
				memory.Cut("n1", "n2")
			case 2:
				memory.Cut("n2", "n1")
			}
			time.Sleep(6 * time.Second)
			done.Store(i == 23)
			heal(memory, "n1", "n2")
			time.Sleep(10 * time.Second)
		}
		if n := nodes[1].local.Stats().DeadLetters; n != 0 {
			t.Errorf("%d dead letters", n)
		}
		for _, g := range nodes[1].local.Groups() {
			if g.Waiting > 0 {
				t.Errorf("%d events are left", g.Waiting)
			}
		}
		c.checkCredits(1000)
		ws.Close()
	})
}

// TestTooLarge: what follows a delivery that is too large for its consumer is delivered
// once more, and the consumer is told of what it has in vain.
func TestTooLarge(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		c := nodes[0].consume(dispatch.SubscriptionOptions{}, func(c *consumer) {
			c.each = func(c *consumer, d dispatch.Delivery) {
				time.Sleep(time.Second) // all three are in flight
				if d.Name == "large" {
					c.settle(d, func() error { return c.BuryTooLarge(d.ID()) })
				} else {
					time.Sleep(time.Second)
					c.ack(d)
				}
			}
		})
		ws, id := nodes[1].listener.Connect(t, "")
		for _, m := range []string{`42["large"]`, `42["b"]`, `42["c"]`} {
			ws.Say(m)
		}
		time.Sleep(10 * time.Second)
		if got, want := c.heard(), []string{"large[]", "b[]", "c[]", "b[]", "c[]"}; !slices.Equal(got, want) {
			t.Errorf("it heard %q", got)
		}
		c.mu.Lock()
		if len(c.taken) != 1 || !slices.Equal(c.taken[0].IDs, []string{id + ".3", id + ".4"}) {
			t.Errorf("taken back: %+v", c.taken)
		}
		c.mu.Unlock()
		c.checkCredits(1000)
		if letters, _, _ := nodes[0].DeadLetters(nodes[0].t.Context(), dispatch.DeadLetterFilter{}, "", 10); len(letters) != 1 || letters[0].Node != "n2" {
			t.Errorf("dead letters: %+v", letters)
		}
		ws.Close()
	})
}

// TestBeginsToAuthorize: a group does not begin to authorise while a node does not answer,
// which would go on letting everybody in; one that does already is not kept from joining.
func TestBeginsToAuthorize(t *testing.T) {
	inCluster(t, 3, func(memory *bus.Memory, nodes []*testNode) {
		join := func(group string, namespaces ...string) error {
			t.Helper()
			s, err := nodes[0].Subscribe(dispatch.SubscriptionOptions{Group: group, ConsumerID: "a", Authorize: true, Namespaces: namespaces})
			if err == nil {
				s.Close()
			}
			return err
		}
		refused := func(err error) {
			t.Helper()
			if away := (*sio.UnreachableError)(nil); !errors.As(err, &away) || away.Node != "n3" {
				t.Errorf("joining: %v, want that n3 does not answer", err)
			}
		}
		none := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		none(join("known", "/chat"))
		memory.Freeze("n3") // nobody suspects it yet
		refused(join("late", "/chat"))
		refused(join("late", "/chat")) // though this node knows the group by now
		time.Sleep(10 * time.Second)
		refused(join("new"))
		refused(join("known", "/chat", "/"))
		none(join("known", "/chat"))
		for _, n := range nodes {
			if got := n.local.Authorized(); got["new"] != nil {
				t.Errorf("%s has a group that could not join: %v", n.name, got)
			}
		}
		memory.Thaw("n3")
		time.Sleep(10 * time.Second)
		none(join("late", "/chat"))
		none(join("new"))
		for _, n := range nodes {
			if got := n.local.Authorized(); len(got["new"]) != 1 || len(got["late"]) != 1 {
				t.Errorf("%s has %v", n.name, got)
			}
		}
		memory.Freeze("n3")
		time.Sleep(2 * time.Minute) // it is taken for gone
		none(join("at last"))
		memory.Thaw("n3")
		time.Sleep(10 * time.Second)
	})
}

// TestCallFollowsEnd: what a node asks another after a consumer of its own has left, that
// answers without the consumer.
func TestCallFollowsEnd(t *testing.T) {
	inCluster(t, 2, func(_ *bus.Memory, nodes []*testNode) {
		n := nodes[0]
		for range 20 {
			c := n.consume(dispatch.SubscriptionOptions{})
			c.Close()
			if _, err := n.DisconnectConsumer(n.t.Context(), "g", c.name); !errors.Is(err, dispatch.ErrNoGroup) { // it was its only one
				t.Errorf("DisconnectConsumer of one that has left: %v", err)
			}
		}
	})
}
