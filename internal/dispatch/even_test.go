package dispatch

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is a group and connections that have each sent it some events.
type crowd struct {
	t           *testing.T
	dispatcher  *Dispatcher
	connections int
	sequence    uint64
	owners      map[string]*Subscription // as last seen
	moves       int                      // of connections whose owner stayed
}

// inCrowd runs f in fake time with a group whose only member has settled an event of
// each of n connections.
func inCrowd(t *testing.T, n int, first SubscriptionOptions, f func(*crowd, *Subscription)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, dispatcher: New(Options{StallTimeout: time.Hour, Logger: slog.New(slog.DiscardHandler)}), connections: n, owners: map[string]*Subscription{}}
		s := c.join(first)
		c.push()
		expect(t, "events", len(c.take(s)), n)
		c.look()
		f(c, s)
		_, err := c.dispatcher.DeleteGroup("g")
		ok(t, err)
	})
}

func (c *crowd) join(o SubscriptionOptions) *Subscription {
	c.t.Helper()
	o.Group = "g"
	s, err := c.dispatcher.Subscribe(o)
	ok(c.t, err)
	return s
}

func connectionName(i int) string { return fmt.Sprint("c", i) }

// push has each connection send an event.
func (c *crowd) push() {
	g := c.dispatcher.groups["g"]
	c.sequence++
	for i := range c.connections {
		e := &Event{Kind: Message, Namespace: "/", ConnectionID: connectionName(i), Sequence: c.sequence}
		e.measure()
		expect(c.t, "offer", g.offer(nil, e, false), accepted)
	}
}

// take takes and acknowledges all there is for s.
func (c *crowd) take(s *Subscription) (taken []Delivery) {
	c.t.Helper()
	for {
		d, more, err := s.Poll()
		ok(c.t, err)
		if !more {
			return taken
		}
		ok(c.t, s.Ack(d.ID()))
		taken = append(taken, d)
	}
}

// look counts the connections that have another owner though the last one that was
// seen is there.
func (c *crowd) look() (moved int) {
	g := c.dispatcher.groups["g"]
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, q := range g.queues {
		if last := c.owners[id]; last != nil && last != q.owner && last.cause == nil && !last.draining {
			moved++
		}
		c.owners[id] = q.owner
	}
	c.moves += moved
	return moved
}

// wait lets time pass, and fails where more connections move at a time than may.
func (c *crowd) wait(d time.Duration) {
	c.t.Helper()
	for range d / (evenInterval / 2) {
		time.Sleep(evenInterval / 2)
		synctest.Wait()
		if n := c.look(); n > evenMoves {
			c.t.Errorf("%d connections moved at once", n)
		}
	}
}

// shares returns how many connections each member has, the fewest first.
func (c *crowd) shares() (shares []int) {
	for _, s := range c.dispatcher.Groups()[0].Subscriptions {
		shares = append(shares, s.Connections)
	}
	slices.Sort(shares)
	return shares
}

func (c *crowd) wantEven() {
	c.t.Helper()
	shares, sum := c.shares(), 0
	for _, n := range shares {
		sum += n
	}
	if few, many := shares[0], shares[len(shares)-1]; uneven(many, few) || sum != c.connections {
		c.t.Errorf("shares %v of %d connections, want them to differ by a quarter at most", shares, c.connections)
	}
}

// A rolling deploy leaves nobody idle, and moves no more than it has to.
func TestRollingDeployEvensOut(t *testing.T) {
	const connections, members = 1000, 3
	inCrowd(t, connections, SubscriptionOptions{ConsumerID: "old 0"}, func(c *crowd, first *Subscription) {
		old := []*Subscription{first}
		for i := 1; i < members; i++ {
			old = append(old, c.join(SubscriptionOptions{ConsumerID: fmt.Sprint("old ", i)}))
			c.wait(10 * time.Second)
			c.wantEven()
		}
		c.moves = 0
		var replaced []*Subscription
		for i, s := range old {
			replaced = append(replaced, c.join(SubscriptionOptions{ConsumerID: fmt.Sprint("new ", i)}))
			c.wait(10 * time.Second)
			c.wantEven()
			s.Drain()
			s.Close()
			c.wait(10 * time.Second)
			c.wantEven()
		}
		t.Logf("%d moves, shares %v", c.moves, c.shares())
		if c.moves > connections { // a quarter for each newcomer, and what their ends leave uneven
			t.Errorf("%d connections moved beside those whose owner left", c.moves)
		}
		c.wait(time.Minute)
		moves := c.moves
		c.push()
		served := 0
		for _, s := range replaced {
			served += len(c.take(s))
		}
		expect(t, "events after the deploy", served, connections)
		c.wait(time.Minute)
		expect(t, "moves once all is even", c.moves, moves)
	})
}

// A connection with something in flight stays where it is until all of that is settled, and
// one of which events wait moves then.
func TestBusyConnectionsAreHandedOver(t *testing.T) {
	const connections = 100
	inCrowd(t, connections, SubscriptionOptions{ConsumerID: "a", AckWait: time.Hour}, func(c *crowd, a *Subscription) {
		c.push()
		var taken []Delivery
		for range connections {
			taken = append(taken, a.get(t))
		}
		c.push() // waits behind
		b := c.join(SubscriptionOptions{ConsumerID: "b"})
		c.wait(time.Minute)
		expect(t, "moved while all have something in flight", c.moves, 0)
		_, more, err := a.Poll()
		expect(t, "one that stays has its next event", more, true)
		ok(t, err)
		for _, d := range taken {
			ok(t, a.Ack(d.ID()))
		}
		c.look()
		c.wantEven()
		if x, y := len(c.take(a)), len(c.take(b)); uneven(x, y) || x+y != connections-1 {
			t.Errorf("%d of the events that waited went to the one and %d to the other", x, y)
		}
		moves := c.moves
		c.wait(time.Minute)
		expect(t, "moves once all is even", c.moves, moves)
		c.push()
		x, y := len(c.take(a)), len(c.take(b))
		expect(t, "events of both", x+y, connections)
		if uneven(x, y) {
			t.Errorf("%d events of one and %d of the other", x, y)
		}
	})
}

// Connections move only to members that asked for all that their owner did.
func TestEvenOutRespectsInterest(t *testing.T) {
	for name, tt := range map[string]struct {
		asks  SubscriptionOptions
		moves bool
	}{
		"the same":          {SubscriptionOptions{Events: []string{"a", "b"}, Lifecycle: true}, true},
		"more":              {SubscriptionOptions{Lifecycle: true}, true},
		"no lifecycle":      {SubscriptionOptions{}, false},
		"no existing":       {SubscriptionOptions{Lifecycle: true, SkipExisting: true}, false},
		"fewer events":      {SubscriptionOptions{Events: []string{"a"}, Lifecycle: true}, false},
		"a pattern":         {SubscriptionOptions{Namespaces: []string{"/c*"}, Lifecycle: true}, false},
		"its namespace too": {SubscriptionOptions{Namespaces: []string{"/", "/chat"}, Lifecycle: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inCrowd(t, 10, SubscriptionOptions{ConsumerID: "a", Events: []string{"", "a", "b"}, Lifecycle: true}, func(c *crowd, _ *Subscription) {
				if len(tt.asks.Events) > 0 {
					tt.asks.Events = append(tt.asks.Events, "")
				}
				tt.asks.ConsumerID = "b"
				c.join(tt.asks)
				c.wait(time.Minute)
				expect(t, "connections moved", c.moves > 0, tt.moves)
				if tt.moves {
					c.wantEven()
				}
			})
		})
	}
}

// Where nobody can take what one member has too much of, nothing goes on happening.
func TestEvenOutEnds(t *testing.T) {
	inCrowd(t, 10, SubscriptionOptions{ConsumerID: "a"}, func(c *crowd, _ *Subscription) {
		c.join(SubscriptionOptions{ConsumerID: "b", Events: []string{"other"}})
		c.wait(time.Minute)
		g := c.dispatcher.groups["g"]
		g.mu.Lock()
		defer g.mu.Unlock()
		expect(t, "a timer is set", g.evening, false)
	})
}

// A connection that moves is not told of anew, and its next event goes to the new
// owner.
func TestMoveTellsNothing(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a", Lifecycle: true})
		for range 10 {
			c, _ := w.connect("")
			defer c.Close()
			c.Idle()
		}
		a.settle(t, 10)
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b", Lifecycle: true})
		time.Sleep(time.Minute)
		a.none(t)
		b.none(t)
		shares := w.Groups()[0].Subscriptions
		if uneven(shares[0].Connections, shares[1].Connections) {
			t.Errorf("shares %d and %d", shares[0].Connections, shares[1].Connections)
		}
	})
}
