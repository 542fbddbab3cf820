package dispatch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// settle takes n deliveries, acknowledges them and returns them.
func (s *Subscription) settle(t *testing.T, n int) (all []Delivery) {
	t.Helper()
	for range n {
		d := s.get(t)
		ok(t, s.Ack(d.ID()))
		all = append(all, d)
	}
	return all
}

// A group is told of who is there already, in the order in which they came, before it
// is of anything else, as they are by then.
func TestGroupIsToldOfWhoIsThere(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var ids []string
		var browsers []*wiretest.WS
		for range 3 {
			c, id := w.connect("")
			defer c.Close()
			c.Say(`42["unheard"]`)
			synctest.Wait()
			ids, browsers = append(ids, id), append(browsers, c)
		}
		_, err := w.server.Apply(t.Context(), sio.Join{To: sio.Target{Namespace: "/", Selector: room.Selector{All: true}}, Rooms: []string{"later"}})
		ok(t, err)
		for _, name := range []string{"g", "h"} {
			m := w.subscribe(SubscriptionOptions{Group: name, Lifecycle: true})
			for i, d := range m.settle(t, 3) {
				expect(t, "delivery", show(d), "connected / existing")
				expect(t, "connection", d.ConnectionID, ids[i])
				expect(t, "sequence", d.Sequence, 1)
				if c := d.Current(ViewDefault); c == nil || !slices.Contains(c.Rooms, "later") {
					t.Errorf("connection %+v, want it in the room that it joined later", c)
				}
			}
			m.none(t)
		}
		g := w.Groups()[0]
		expect(t, "events left", g.Waiting, 0)
		m := w.subscribe(SubscriptionOptions{Lifecycle: true}) // replaces the first
		browsers[0].Say(`42["heard"]`)
		browsers[0].Say(`41`)
		c, _ := w.connect("")
		defer c.Close()
		var got []string
		for _, d := range m.settle(t, 3) {
			got = append(got, show(d))
		}
		slices.Sort(got)
		expect(t, "what followed", strings.Join(got, "; "), "connected /; disconnected / client namespace disconnect; message / heard[]")
		m.none(t)
	})
}

// What a connection does while the group is still being told of others comes behind
// its own CONNECTED; one that ends before is never mentioned.
func TestExistingComesFirst(t *testing.T) {
	const browsers = maxUntold + 50
	inBubble(t, Options{}, func(w *world) {
		var all []*wiretest.WS
		for range browsers {
			c, _ := w.connect("")
			defer c.Close()
			all = append(all, c)
		}
		synctest.Wait()
		m := w.subscribe(SubscriptionOptions{Lifecycle: true, MaxInFlight: 10_000})
		first := m.get(t)
		expect(t, "waiting", w.Groups()[0].Waiting, maxUntold)
		all[browsers-1].Say(`42["early"]`)
		all[browsers-2].Close()
		synctest.Wait()
		expect(t, "waiting, with what a browser did meanwhile", w.Groups()[0].Waiting, maxUntold+2)
		told := map[string]bool{first.ConnectionID: true}
		messages := 0
		for range browsers - 1 {
			d := m.get(t)
			switch {
			case d.Kind == Connected && !told[d.ConnectionID]:
				told[d.ConnectionID] = true
			case d.Kind == Message && told[d.ConnectionID]:
				messages++
			default:
				t.Errorf("%s of %s, told of it: %t", show(d), d.ConnectionID, told[d.ConnectionID])
			}
			if n := w.Groups()[0].Waiting; n > maxUntold+2+len(told)+messages {
				t.Errorf("%d events wait or are in flight, of which %d were delivered", n, len(told)+messages)
			}
		}
		m.none(t)
		expect(t, "told of", len(told), browsers-1)
		expect(t, "messages", messages, 1)
	})
}

// A member that is busy holds up no more than its own bound of those that were there:
// the others are told of the rest. Once it settles again it is too.
func TestBusyMemberKeepsNobodyFromBeingTold(t *testing.T) {
	const browsers = 5 * maxUntold
	inBubble(t, Options{}, func(w *world) {
		for range browsers {
			c, _ := w.connect("")
			defer c.Close()
		}
		synctest.Wait()
		a := w.subscribe(SubscriptionOptions{Lifecycle: true, ConsumerID: "a", MaxInFlight: 1})
		busy := a.get(t)
		b := w.subscribe(SubscriptionOptions{Lifecycle: true, ConsumerID: "b"})
		told := map[string]bool{busy.ConnectionID: true}
		tell := func(s *Subscription) {
			t.Helper()
			d := s.get(t)
			if show(d) != "connected / existing" || told[d.ConnectionID] {
				t.Errorf("%s of %s, told of it: %t", show(d), d.ConnectionID, told[d.ConnectionID])
			}
			told[d.ConnectionID] = true
			ok(t, s.Ack(d.ID()))
		}
		for len(told) < browsers-2*maxUntold && !t.Failed() {
			tell(b)
		}
		ok(t, a.Ack(busy.ID()))
		for len(told) < browsers && !t.Failed() {
			s := a
			synctest.Wait()
			a.group.mu.Lock()
			if b.nextTurnLocked() != nil {
				s = b
			}
			a.group.mu.Unlock()
			tell(s)
		}
		a.none(t)
		b.none(t)
		expect(t, "untold of a", a.untold, 0)
		expect(t, "untold of b", b.untold, 0)
		if a.walk != nil || b.walk != nil {
			t.Error("a walk goes on though all are told of")
		}
	})
}

// What a subscription has not been told of is counted with the one that owns it.
func TestUntoldMovesWithItsOwner(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		for range 10 {
			c, _ := w.connect("")
			defer c.Close()
		}
		synctest.Wait()
		a := w.subscribe(SubscriptionOptions{Lifecycle: true, ConsumerID: "a", MaxInFlight: 1})
		a.get(t)
		expect(t, "untold of a", a.untold, 9)
		b := w.subscribe(SubscriptionOptions{Lifecycle: true, ConsumerID: "b", MaxInFlight: 1})
		a.Close()
		expect(t, "untold of a, which has left", a.untold, 0)
		expect(t, "untold of b", b.untold, 9) // one was delivered once
		for range 10 {
			ok(t, b.Ack(b.get(t).ID()))
		}
		expect(t, "untold of b in the end", b.untold, 0)
		b.none(t)
	})
}

// A group is told when the first of its members asks: for a namespace, by name or
// pattern, or for lifecycle at all.
func TestToldWhenFirstAsked(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		for _, namespace := range []string{"", "/chat"} {
			c, _ := w.connect(namespace)
			defer c.Close()
		}
		synctest.Wait()
		plain := w.subscribe(SubscriptionOptions{ConsumerID: "plain"})
		root := w.subscribe(SubscriptionOptions{ConsumerID: "root", Namespaces: []string{"/"}, Lifecycle: true})
		ok(t, root.Ack(root.expect(t, "connected / existing")[0].ID()))
		pattern := w.subscribe(SubscriptionOptions{ConsumerID: "pattern", Namespaces: []string{"/c*"}, Lifecycle: true})
		ok(t, pattern.Ack(pattern.expect(t, "connected /chat existing")[0].ID()))
		all := w.subscribe(SubscriptionOptions{ConsumerID: "all", Lifecycle: true})
		for _, s := range []*Subscription{plain, root, pattern, all} {
			s.none(t)
		}
	})
}

// A group that was without members for a while hears of nobody twice; one that was
// forgotten is told of everybody anew.
func TestToldAfterItsMembersWereAway(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		stays, _ := w.connect("")
		defer stays.Close()
		stays.Idle()
		synctest.Wait()
		join := func() *Subscription { return w.subscribe(SubscriptionOptions{Lifecycle: true}) }
		m := join()
		m.settle(t, 1)
		m.Close()
		time.Sleep(59 * time.Second)
		m = join()
		m.none(t)
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		d := m.expect(t, "connected /")[0]
		ok(t, m.Ack(d.ID()))
		m.Close()
		time.Sleep(2 * time.Minute)
		m = join()
		m.expect(t, "connected / existing", "connected / existing")
		m.none(t)
	})
}

// Who declines hears of no connection that was there before, but of what it does.
func TestSkipExisting(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, _ := w.connect("")
		defer c.Close()
		synctest.Wait()
		m := w.subscribe(SubscriptionOptions{ConsumerID: "skips", Lifecycle: true, SkipExisting: true})
		m.none(t)
		c.Say(`42["x"]`)
		c.Say(`41`)
		for _, d := range m.expect(t, "message / x[]", "disconnected / client namespace disconnect") {
			ok(t, m.Ack(d.ID()))
		}
		other, _ := w.connect("")
		defer other.Close()
		m.expect(t, "connected /")
	})
}

// A CONNECTED that the policy dropped, since nobody was there, is made up for.
func TestToldOfWhatWasDropped(t *testing.T) {
	inBubble(t, Options{Policy: Drop}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Lifecycle: true})
		before, _ := w.connect("")
		m.settle(t, 1) // so that what it asked for is remembered
		m.Close()
		before.Close()
		c, _ := w.connect("")
		defer c.Close()
		synctest.Wait()
		w.subscribe(SubscriptionOptions{Lifecycle: true}).expect(t, "connected / existing")
	})
}

// Browsers come, speak and go while members of two groups join and leave at random.
// For each group and connection: one CONNECTED, before anything else; then messages
// in order; one DISCONNECTED at the end, and none without a CONNECTED.
func TestToldExactlyOnce(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		var mu sync.Mutex
		type key struct{ group, connection string }
		heard := map[key][]string{}
		note := func(group string, d Delivery) {
			mu.Lock()
			defer mu.Unlock()
			if d.Attempt == 1 {
				k := key{group, d.ConnectionID}
				heard[k] = append(heard[k], [...]string{"connecting", "connected", "message", "disconnected"}[d.Kind])
			}
		}
		var members, browsers sync.WaitGroup
		stop := make(chan struct{})
		member := func(group, id string) {
			for n := 0; ; n++ {
				s := w.subscribe(SubscriptionOptions{Group: group, ConsumerID: id, Lifecycle: true})
				life := time.After(time.Duration(rand.IntN(2000)) * time.Millisecond)
				for alive := true; alive; {
					if d, more, err := s.Poll(); err != nil {
						alive = false
					} else if more {
						note(group, d)
						if rand.IntN(50) > 0 {
							_ = s.Ack(d.ID())
						}
						continue
					}
					select {
					case <-s.News():
					case <-life:
						alive = false
					case <-stop:
						s.Close()
						return
					}
				}
				s.Close()
				time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
			}
		}
		for range 40 {
			browsers.Go(func() {
				for range 5 {
					time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
					c, _ := w.connect("")
					for range rand.IntN(5) {
						time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
						c.Say(`42["x"]`)
					}
					time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
					c.Close()
				}
			})
		}
		for _, group := range []string{"g", "h"} {
			for i := range 2 {
				members.Go(func() {
					time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
					member(group, fmt.Sprint(i))
				})
			}
		}
		browsers.Wait()
		time.Sleep(30 * time.Second) // what was left unsettled comes again
		close(stop)
		members.Wait()
		for k, kinds := range heard {
			last := len(kinds) - 1
			for i, kind := range kinds {
				if (kind == "connected") != (i == 0) || (kind == "disconnected") != (i == last) {
					t.Errorf("%s heard of %s: %s", k.group, k.connection, kinds)
					break
				}
			}
		}
		for _, group := range []string{"g", "h"} {
			n := 0
			for k := range heard {
				if k.group == group {
					n++
				}
			}
			t.Logf("%s was told of %d connections", group, n)
			if n == 0 {
				t.Errorf("%s was told of nobody", group)
			}
		}
	})
}

// The end of a connection follows its start, also if the only consumer died meanwhile
// and had settled nothing.
func TestEndFollowsAStartThatIsKept(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{Lifecycle: true, ConsumerID: "a"})
		c, _ := w.connect("")
		a.expect(t, "connected /")
		a.Close()
		c.Close()
		synctest.Wait()
		b := w.subscribe(SubscriptionOptions{Lifecycle: true, ConsumerID: "b"})
		b.expect(t, "connected / attempt 2")
		expect(t, "what follows", b.get(t).Kind, Disconnected)
		b.none(t)
	})
}

// A start that there was no room for, and that nobody wants by the time there is, was
// not told of: who asks next is.
func TestStartThatNobodyWantsAnyMore(t *testing.T) {
	inBubble(t, Options{SubscriptionBytes: 2000}, func(w *world) {
		w.subscribe(SubscriptionOptions{ConsumerID: "stays"})
		c, id := w.connect("")
		synctest.Wait()
		g, of := w.groups["g"], w.client(id)
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a", Lifecycle: true, SkipExisting: true})
		g.mu.Lock()
		g.makeQueueLocked(&Event{Kind: Connected, Namespace: "/", ConnectionID: id}).assignLocked(a)
		a.bytes += 5000
		g.mu.Unlock()
		e := of.event(Connected)
		expect(t, "the first answer", g.offer(of, e, false), full)
		g.mu.Lock()
		a.bytes -= 5000
		g.mu.Unlock()
		a.Close()
		expect(t, "the second answer", g.offerAgain(of, e, false), unwanted)
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b", Lifecycle: true})
		b.expect(t, "connected / existing")
		c.Close()
	})
}
