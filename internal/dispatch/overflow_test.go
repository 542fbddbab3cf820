package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// consumeAll settles whatever comes to the subscription, until it ends, and notes it.
func (s *Subscription) consumeAll(t *testing.T) (got func() []string) {
	var all []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			d, err := s.Next(context.Background())
			if err != nil {
				return
			}
			all = append(all, show(d))
			_ = s.Ack(d.ID())
		}
	}()
	return func() []string {
		synctest.Wait()
		s.Close()
		<-done
		return all
	}
}

// countOf returns how many begin with the prefix.
func countOf(all []string, prefix string) (n int) {
	for _, s := range all {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

// deadGroups are ways in which a group "dead" takes or settles nothing of what comes.
var deadGroups = map[string]func(t *testing.T, w *world){
	"gone": func(_ *testing.T, w *world) { w.left(SubscriptionOptions{Group: "dead", Lifecycle: false}) },
	"reads and settles nothing": func(t *testing.T, w *world) {
		s := w.subscribe(SubscriptionOptions{Group: "dead", AckWait: 5 * time.Second})
		go func() {
			for {
				if _, err := s.Next(context.Background()); err != nil {
					return
				}
			}
		}()
	},
	"does not read": func(_ *testing.T, w *world) { w.subscribe(SubscriptionOptions{Group: "dead"}) },
	"hangs within a long ack wait": func(_ *testing.T, w *world) {
		s := w.subscribe(SubscriptionOptions{Group: "dead", AckWait: time.Hour, MaxInFlight: 1})
		go func() { _, _ = s.Next(context.Background()) }()
	},
}

// A group that serves nobody, or settles nothing, holds up and closes no browser that
// another group serves, in whatever order they came; its loss is counted and logged.
func TestDeadGroupHoldsUpNobody(t *testing.T) {
	for name, die := range deadGroups {
		for _, liveFirst := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", live first ", liveFirst), func(t *testing.T) {
				var logged strings.Builder
				opts := Options{QueueBytes: 2000, MaxAttempts: 1000, GroupMemory: time.Hour, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
				inBubble(t, opts, func(w *world) {
					var live *Subscription
					join := func() { live = w.subscribe(SubscriptionOptions{Group: "live", Lifecycle: true}) }
					if liveFirst {
						join()
						if name == "gone" { // what made the group is settled by both
							live.Close()
							synctest.Wait()
							join()
						}
					}
					die(t, w)
					if !liveFirst {
						join()
					}
					got := live.consumeAll(t)
					c, _ := w.connect("")
					c.Idle()
					for i := range 100 {
						c.SayLater(fmt.Sprintf(`42["n",%d]`, i))
					}
					time.Sleep(2 * time.Minute)
					expect(t, "connections", w.server.Stats().Connections, 1)
					all := got()
					expect(t, "what the live group got", countOf(all, "message / n"), 100)
					st := w.groups["dead"].status()
					if st.Lost == 0 || w.Stats().Lost != st.Lost {
						t.Errorf("%d events lost, %d in all", st.Lost, w.Stats().Lost)
					}
					if n := strings.Count(logged.String(), "a group loses events"); n == 0 || n > 13 {
						t.Errorf("logged %d times", n)
					}
					w.groups["dead"].mu.Lock()
					defer w.groups["dead"].mu.Unlock()
					for _, q := range w.groups["dead"].queues {
						if q.bytes > 2000 {
							t.Errorf("%d bytes wait", q.bytes)
						}
					}
					c.Close()
				})
			})
		}
	}
}

// With no group that serves it a browser is held up, and closed in the end.
func TestBothGroupsDead(t *testing.T) {
	inBubble(t, Options{QueueBytes: 2000, MaxAttempts: 1000, GroupMemory: time.Hour}, func(w *world) {
		w.left(SubscriptionOptions{Group: "gone"})
		w.subscribe(SubscriptionOptions{Group: "stuck", AckWait: time.Hour})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		c.SayLater(numbered(100)...)
		time.Sleep(40 * time.Second)
		expect(t, "connections", w.server.Stats().Connections, 1)
		expect(t, "lost", w.Stats().Lost, 1) // before it was known that the other settles nothing
		time.Sleep(20 * time.Second)
		expect(t, "connections", w.server.Stats().Connections, 0)
		expect(t, "closed", w.Stats().StalledSessions, 1)
	})
}

// A browser that is held up for want of any group goes on once one serves it.
func TestHeldUntilAnotherGroupComes(t *testing.T) {
	inBubble(t, Options{QueueBytes: 2000, GroupMemory: time.Hour}, func(w *world) {
		w.left(SubscriptionOptions{Group: "gone"})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		c.SayLater(numbered(100)...)
		time.Sleep(30 * time.Second)
		got := w.subscribe(SubscriptionOptions{Group: "live"}).consumeAll(t)
		time.Sleep(5 * time.Second)
		n := len(got())
		expect(t, "events that were let go, or came after it", uint64(n)+1, 100-uint64(w.groups["gone"].status().Waiting))
	})
}

// A group that comes back gets what waited, that of the connection which waits longest
// first, a gap that is counted, and all that follows, in order.
func TestRecoveryFromDead(t *testing.T) {
	inBubble(t, Options{QueueBytes: 2000, GroupMemory: time.Hour}, func(w *world) {
		live := w.subscribe(SubscriptionOptions{Group: "live"}).consumeAll(t)
		dead := w.subscribe(SubscriptionOptions{Group: "dead", Lifecycle: true})
		first, _ := w.connect("")
		ok(t, dead.Ack(dead.get(t).ID()))
		dead.Close()
		first.Close()
		time.Sleep(time.Millisecond) // its end is older than the other's start
		c, _ := w.connect("")
		c.Idle()
		for i := range 100 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		synctest.Wait()
		back := w.subscribe(SubscriptionOptions{Group: "dead", Lifecycle: true}).consumeAll(t)
		synctest.Wait()
		c.Say(`42["n",100]`)
		c.Say(`42["n",101]`)
		c.Close()
		all := back()
		lost := int(w.groups["dead"].status().Lost)
		if len(all) < 6 || all[0] != "disconnected / transport close" || all[1] != "connected /" || all[len(all)-1] != "disconnected / transport close" {
			t.Fatalf("got %q", all)
		}
		numbers := all[2 : len(all)-1]
		expect(t, "messages and those lost", len(numbers)+lost, 102)
		for i, s := range numbers {
			want := i
			if i >= len(numbers)-2 {
				want += lost
			}
			expect(t, "message", s, fmt.Sprintf("message / n[%d]", want))
		}
		expect(t, "what the live group got", len(live()), 102)
	})
}

// However many browsers there are: messages stay within the bound of what nobody
// is there for, starts within twice of that; a connection whose start was lost is told
// of once there is room, and before anything else of it.
func TestDeadGroupIsBounded(t *testing.T) {
	const bound, browsers = 64 << 10, 1000
	inBubble(t, Options{SubscriptionBytes: bound, GroupMemory: time.Hour}, func(w *world) {
		live := w.subscribe(SubscriptionOptions{Group: "live"}).consumeAll(t)
		dead := w.subscribe(SubscriptionOptions{Group: "dead", Lifecycle: true})
		first, _ := w.connect("")
		ok(t, dead.Ack(dead.get(t).ID()))
		dead.Close()
		first.Close()
		g := w.groups["dead"]
		var all []*wiretest.WS
		for range browsers {
			c, _ := w.connect("")
			c.Idle()
			all = append(all, c)
			c.Say(`42["m"]`)
		}
		synctest.Wait()
		expect(t, "connections", w.server.Stats().Connections, browsers)
		g.mu.Lock()
		bytes, told := g.unowned.bytes, 0
		for _, q := range g.queues {
			if len(q.items) > 0 && q.items[0].event.Kind == Connected {
				told++
			}
		}
		g.mu.Unlock()
		if told == 0 || told == browsers {
			t.Errorf("the starts of %d wait", told)
		}
		if bytes > 2*bound || bytes < bound {
			t.Errorf("%d bytes wait, the bound is %d", bytes, bound)
		}
		back := w.subscribe(SubscriptionOptions{Group: "dead", Lifecycle: true}).consumeAll(t)
		synctest.Wait()
		for _, c := range all {
			c.Say(`42["m"]`)
			synctest.Wait()
		}
		for _, c := range all {
			c.Close()
		}
		got := back()
		expect(t, "starts", countOf(got, "connected"), browsers)
		expect(t, "ends", countOf(got, "disconnected"), 1+browsers)
		expect(t, "messages and what was lost", countOf(got, "message")+int(g.status().Lost), 2*browsers+browsers-told)
		expect(t, "what the live group got", countOf(live(), "message"), 2*browsers)
	})
}

// A group whose only consumer settles nothing, and has no room, keeps no new browser out
// that another group serves.
func TestStuckGroupKeepsNobodyOut(t *testing.T) {
	inBubble(t, Options{SubscriptionBytes: 2000, MaxAttempts: 1000}, func(w *world) {
		stuck := w.subscribe(SubscriptionOptions{Group: "stuck", AckWait: 5 * time.Second})
		go func() {
			for {
				if _, err := stuck.Next(context.Background()); err != nil {
					return
				}
			}
		}()
		live := w.subscribe(SubscriptionOptions{Group: "live"}).consumeAll(t)
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		c.SayLater(numbered(20)...)
		time.Sleep(10 * time.Second)
		other, _ := w.connect("")
		defer other.Close()
		other.Say(`42["other"]`)
		expect(t, "what the live group got", len(live()), 21)
	})
}

// A connection that leaves its namespace while an event of it is held is heard of as one
// that has left; its session, and what else that is in, stays.
func TestHeldThenDisconnected(t *testing.T) {
	inBubble(t, Options{QueueBytes: 1000}, func(w *world) {
		chat := w.subscribe(SubscriptionOptions{Namespaces: []string{"/chat"}, Lifecycle: true, AckWait: time.Hour})
		c, _ := w.connect("")
		id := c.Join("/chat")
		c.Idle()
		ok(t, chat.Ack(chat.expect(t, "connected /chat")[0].ID()))
		text := `42/chat,["n","` + strings.Repeat("x", 900) + `"]`
		c.Say(text)
		first := chat.get(t)
		c.SayLater(text) // is held
		synctest.Wait()
		_, err := w.server.Apply(t.Context(), sio.Disconnect{To: sio.Target{Namespace: "/chat", Selector: room.Selector{IDs: []string{id}}}})
		ok(t, err)
		time.Sleep(2 * reviewInterval)
		expect(t, "dropped", w.Stats().Dropped, 1)
		end := chat.expect(t, "disconnected /chat server namespace disconnect")
		ok(t, chat.Ack(first.ID()))
		ok(t, chat.Ack(end[0].ID()))
		time.Sleep(2 * time.Minute)
		expect(t, "connections", w.server.Stats().Connections, 1)
		expect(t, "sessions closed as stalled", w.Stats().StalledSessions, 0)
		c.Close()
	})
}
