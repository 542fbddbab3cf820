package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

func TestLifeOfAConnection(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Lifecycle: true})
		c, id := w.connect("")
		c.Say(`42["hi",1]`)
		c.Say(`427["question"]`)
		c.Say("41")
		ds := m.expect(t, "connected /", "message / hi[1]", "message / question[]", "disconnected / client namespace disconnect")
		for i, d := range ds {
			expect(t, "connection", d.ConnectionID, id)
			expect(t, "sequence", d.Sequence, uint64(i+1))
			expect(t, "reply expected", d.ReplyExpected, i == 2)
			ok(t, m.Ack(d.ID()))
		}
		expect(t, "events", w.Stats().Events, 4)
		expect(t, "what is left", len(w.Groups()[0].Subscriptions), 1)
		expect(t, "queues left", w.Groups()[0].Subscriptions[0].Connections, 0)
		c.Close()
	})
}

func TestFilters(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		all := w.subscribe(SubscriptionOptions{Group: "all"})
		some := w.subscribe(SubscriptionOptions{Group: "some", Events: []string{"b"}})
		chat := w.subscribe(SubscriptionOptions{Group: "chat", Namespaces: []string{"/chat"}, Lifecycle: true})
		c, _ := w.connect("")
		c.Join("/chat")
		c.Say(`42["a"]`)
		c.Say(`42["b"]`)
		c.Say(`42/chat,["c"]`)
		// Namespaces are connections of their own, with no order between them.
		got := []string{show(all.get(t)), show(all.get(t)), show(all.get(t))}
		slices.Sort(got)
		expect(t, "all", strings.Join(got, "; "), "message / a[]; message / b[]; message /chat c[]")
		some.expect(t, "message / b[]")
		chat.expect(t, "connected /chat", "message /chat c[]")
		for _, m := range []*Subscription{all, some, chat} {
			m.none(t)
		}
		expect(t, "unheard", w.Stats().Unheard, 1) // the CONNECTED of /
		c.Close()
	})
}

func TestReply(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, id := w.connect("")
		c.Say(`427["question"]`)
		c.Say(`42["no question"]`)
		ds := m.expect(t, "message / question[]", "message / no question[]")
		ok(t, m.Ack(ds[0].ID())) // a reply may follow the ack
		ok(t, w.Reply(ds[0].ID(), nil, []byte(`["answer"]`), nil))
		expect(t, "ack", c.Next(), `437["answer"]`)
		for name, tt := range map[string]struct {
			id   string
			want error
		}{
			"second reply":        {ds[0].ID(), ErrNoReply},
			"none expected":       {ds[1].ID(), ErrNoReply},
			"unknown sequence":    {id + ".999", ErrNoReply},
			"unknown connection":  {"nobody.1", ErrNoReply},
			"no id":               {"x", ErrBadID},
			"no sequence":         {id + ".", ErrBadID},
			"negative sequence":   {id + ".-1", ErrBadID},
			"nothing but the dot": {".", ErrBadID},
		} {
			if err := w.Reply(tt.id, nil, nil, nil); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		}
		c.Say(`428["question"]`)
		d := m.get(t)
		c.Close()
		synctest.Wait()
		if err := w.Reply(d.ID(), nil, nil, nil); !errors.Is(err, ErrNoReply) {
			t.Errorf("after the connection's end: %v, want ErrNoReply", err)
		}
	})
}

// A subscription that goes leaves its unacked events to another, in order, as later attempts.
func TestRedelivery(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a"})
		c, _ := w.connect("")
		for i := range 5 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		ds := a.expect(t, "message / n[0]", "message / n[1]", "message / n[2]", "message / n[3]")
		ok(t, a.Ack(ds[0].ID()))
		ok(t, a.Ack(ds[2].ID())) // out of order
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b"})
		b.none(t) // the connection stays with its subscription
		a.Close()
		if _, err := a.Next(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
		if err := a.Ack(ds[1].ID()); !errors.Is(err, ErrNotInFlight) {
			t.Errorf("Ack after Close: %v", err)
		}
		second := b.expect(t, "message / n[1] attempt 2")
		b.none(t) // either may have brought a down: one at a time
		ok(t, b.Ack(second[0].ID()))
		b.expect(t, "message / n[3] attempt 2", "message / n[4]")
		b.none(t)
		expect(t, "redelivered", w.Stats().Redelivered, 2)
		c.Close()
	})
}

// A refused event and what followed it come again, in order, after a pause.
func TestNack(t *testing.T) {
	inBubble(t, Options{StallTimeout: time.Hour}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		c.Idle()
		for i := range 4 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		ds := m.expect(t, "message / n[0]", "message / n[1]", "message / n[2]")
		ok(t, m.Nack(ds[1].ID(), 0))
		m.none(t)
		ok(t, m.Ack(ds[0].ID()))
		time.Sleep(100 * time.Millisecond)
		m.expect(t, "message / n[1] attempt 2", "message / n[2] attempt 2", "message / n[3]")

		// What is refused again and again does not hold up its connection for ever.
		for range 10 - 2 {
			ok(t, m.Nack(ds[1].ID(), 0))
			time.Sleep(13 * time.Second)
			for i := range 3 {
				d := m.get(t)
				expect(t, "again", d.Args, fmt.Sprintf("[%d]", i+1))
			}
		}
		ok(t, m.Nack(ds[1].ID(), 0))
		for _, d := range m.expect(t, "message / n[2] attempt 11", "message / n[3] attempt 10") {
			ok(t, m.Ack(d.ID()))
		}
		time.Sleep(time.Minute)
		m.none(t)
		expect(t, "dropped", w.Stats().Dropped, 0)
		letters := w.deadLetters.letters
		if len(letters) != 1 || letters[0].Event.ID() != ds[1].ID() || letters[0].Reason != Nacked || letters[0].Attempt != 10 || letters[0].ConsumerID != "c" {
			t.Errorf("dead letters: %+v", letters)
		}
		c.Close()
	})
}

func TestMaxInFlight(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{MaxInFlight: 2})
		c, _ := w.connect("")
		for i := range 4 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		ds := m.expect(t, "message / n[0]", "message / n[1]")
		m.none(t)
		ok(t, m.Ack(ds[1].ID()))
		m.expect(t, "message / n[2]")
		m.none(t)
		ok(t, m.Ack(ds[0].ID()))
		m.expect(t, "message / n[3]")
		c.Close()
	})
}

// New connections are spread over the subscriptions, a newcomer gets its part, and
// no living subscription loses a connection to it.
func TestSpread(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		w.subscribe(SubscriptionOptions{ConsumerID: "a"})
		w.subscribe(SubscriptionOptions{ConsumerID: "b"})
		var all []*wiretest.WS
		connect := func(n int) {
			for range n {
				c, _ := w.connect("")
				c.Say(`42["x"]`)
				all = append(all, c)
			}
			synctest.Wait()
		}
		counts := func() (n []int) {
			for _, c := range w.Groups()[0].Subscriptions {
				n = append(n, c.Connections)
			}
			return n
		}
		connect(40)
		for i, n := range counts() {
			if n < 10 || n > 26 {
				t.Errorf("subscription %d has %d of 40 connections", i, n)
			}
		}
		before := counts()
		w.subscribe(SubscriptionOptions{ConsumerID: "c"})
		connect(40)
		after := counts()
		if after[2] < 12 { // what is left when both others hold a quarter above their share of 80
			t.Errorf("the newcomer has %d of the 40 new connections, all: %v", after[2], after)
		}
		for i := range before {
			if after[i] < before[i] {
				t.Errorf("subscription %d lost connections: %v, then %v", i, before, after)
			}
		}
		for _, c := range all {
			c.Close()
		}
	})
}

func TestReplaced(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		old := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		c.Say(`42["x"]`)
		old.get(t)
		again := w.subscribe(SubscriptionOptions{})
		<-old.Done()
		if _, err := old.Next(context.Background()); !errors.Is(err, ErrReplaced) {
			t.Errorf("Next: %v, want ErrReplaced", err)
		}
		expect(t, "why the old one ended", old.Err(), ErrReplaced)
		expect(t, "why the new one ended", again.Err(), nil)
		again.expect(t, "message / x[] attempt 2")
		c.Close()
	})
}

// TestTaken: who may replace its own caller's consumers only is refused another's id, which
// stays.
func TestTaken(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		first := w.subscribe(SubscriptionOptions{Caller: "a"})
		o := SubscriptionOptions{Group: first.group.name, ConsumerID: first.options.ConsumerID, Caller: "b", OnlyOwn: true}
		if _, err := w.Subscribe(o); !errors.Is(err, ErrTaken) {
			t.Errorf("another caller: %v, want ErrTaken", err)
		}
		expect(t, "why the first ended", first.Err(), nil)
		o.Caller = "a"
		second, err := w.Subscribe(o)
		ok(t, err)
		expect(t, "why the first ended", first.Err(), ErrReplaced)
		o.Caller, o.OnlyOwn = "b", false
		third, err := w.Subscribe(o)
		ok(t, err)
		expect(t, "why the second ended", second.Err(), ErrReplaced)
		third.Close()
	})
}

func TestDrain(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a"})
		busy, _ := w.connect("")
		busy.Say(`42["busy",1]`)
		first := a.get(t)
		idle, _ := w.connect("")
		idle.Say(`42["idle",1]`)
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b"})
		a.Drain()
		a.none(t)
		busy.Say(`42["busy",2]`)
		b.expect(t, "message / idle[1]")
		b.none(t) // not before the first of its connection is settled
		ok(t, a.Ack(first.ID()))
		b.expect(t, "message / busy[2]")
		busy.Close()
		idle.Close()
	})
}

// A subscription whose consumer does not read makes room for others.
func TestStalledSubscription(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a"})
		time.Sleep(time.Minute) // idle is not stalled
		c, _ := w.connect("")
		c.Idle()
		c.Say(`42["x"]`)
		synctest.Wait()
		time.Sleep(9 * time.Second)
		a.expect(t, "message / x[]") // takes it in time, and then it has nothing more to do
		time.Sleep(15 * time.Second)
		select {
		case <-a.Done():
			t.Fatal("a subscription was taken out that had nothing to do")
		default:
		}
		c.Say(`42["y"]`)
		synctest.Wait()
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b"})
		time.Sleep(13 * time.Second)
		if _, err := a.Next(context.Background()); !errors.Is(err, ErrStalled) {
			t.Errorf("Next: %v, want ErrStalled", err)
		}
		b.expect(t, "message / x[] attempt 2", "message / y[]")
		expect(t, "stalled", w.Stats().StalledConsumers, 1)
		c.Close()
	})
}

// Past its bounds a connection's browser is held up, and nobody else; in the
// end its session closes with the reason that says why.
func TestHold(t *testing.T) {
	inBubble(t, Options{QueueBytes: 1000, HoldTimeout: 10 * time.Second}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{MaxInFlight: 1})
		c, id := w.connect("")
		c.SayLater(numbered(10)...)
		synctest.Wait()
		waiting := w.Groups()[0].Waiting
		if waiting < 3 || waiting > 5 {
			t.Errorf("%d events wait, want no more than fit", waiting)
		}
		other, _ := w.connect("")
		other.Say(`42["other"]`)
		synctest.Wait()
		expect(t, "with the other browser's", w.Groups()[0].Waiting, waiting+1)

		// Consuming lets it go on.
		for i, others := 0, 0; i < 10; {
			d := m.get(t)
			if d.ConnectionID == id {
				expect(t, "event", show(d), fmt.Sprintf("message / n[%d]", i))
				i++
			} else if others++; others > 1 {
				t.Fatalf("unexpected %s", show(d))
			}
			ok(t, m.Ack(d.ID()))
		}
		c.SayLater(numbered(10)...)
		c.MustClose(1000, ReasonStalled)
		expect(t, "sessions cut", w.Stats().StalledSessions, 1)
		other.Close()
	})
}

func TestSubscriptionBound(t *testing.T) {
	inBubble(t, Options{SubscriptionBytes: 2000, StallTimeout: time.Hour}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{MaxInFlight: 1})
		var all []*wiretest.WS
		for range 8 {
			c, _ := w.connect("")
			all = append(all, c)
		}
		for _, c := range all {
			c.SayLater(numbered(3)...)
		}
		synctest.Wait()
		if n := w.Groups()[0].Waiting; n > 16 {
			t.Errorf("%d events wait, want about 8", n)
		}
		late := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		late.Next()
		late.Say("40")
		late.MustClose(1000, sio.ReasonUnavailable)
		for range 24 {
			ok(t, m.Ack(m.get(t).ID()))
		}
		m.none(t)
		late, _ = w.connect("")
		for _, c := range append(all, late) {
			c.Close()
		}
	})
}

func TestNobodyOnline(t *testing.T) {
	t.Run("buffer", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			w.left(SubscriptionOptions{})
			c, _ := w.connect("")
			c.Idle()
			c.Say(`42["x"]`)
			synctest.Wait()
			w.subscribe(SubscriptionOptions{}).expect(t, "message / x[]")
			c.Close()
		})
	})
	t.Run("buffer, but not for ever", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			w.left(SubscriptionOptions{})
			c, _ := w.connect("")
			c.Idle()
			c.Say(`42["x"]`)
			time.Sleep(time.Minute + time.Second)
			expect(t, "groups", len(w.Groups()), 0)
			expect(t, "dropped", w.Stats().Dropped, 1)
			w.subscribe(SubscriptionOptions{}).none(t)
			c.Close()
		})
	})
	t.Run("drop", func(t *testing.T) {
		inBubble(t, Options{Policies: map[string]Policy{"/": Drop}}, func(w *world) {
			w.left(SubscriptionOptions{})
			c, _ := w.connect("")
			unheard := w.Stats().Unheard
			c.Say(`427["x"]`)
			synctest.Wait()
			expect(t, "dropped", w.Stats().Dropped, 1)
			expect(t, "unheard", w.Stats().Unheard, unheard) // it was asked for
			w.subscribe(SubscriptionOptions{}).none(t)
			c.Close()
		})
	})
	t.Run("refuse", func(t *testing.T) {
		inBubble(t, Options{Policies: map[string]Policy{"/": Refuse}}, func(w *world) {
			c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
			c.Next()
			c.Say("40")
			c.MustClose(1000, sio.ReasonUnavailable)
			w.subscribe(SubscriptionOptions{})
			c, _ = w.connect("")
			c.Close()
		})
	})
	t.Run("nobody ever was", func(t *testing.T) {
		inBubble(t, Options{}, func(w *world) {
			c, _ := w.connect("")
			c.Say(`42["x"]`)
			synctest.Wait()
			expect(t, "unheard", w.Stats().Unheard, 2)
			c.Close()
		})
	})
}

func TestVerdict(t *testing.T) {
	token := grants{User: "token's", Rooms: []string{"a"}, Data: map[string]any{"x": 1, "y": 1}, Expire: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Authorize: true, Lifecycle: true})
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say(`40{"token":"t"}`)
		d := m.expect(t, `connecting / [{"token":"t"}]`)[0]
		expect(t, "user known from the token", d.UserID, "token's")
		expect(t, "connections before the verdict", w.server.Stats().Connections, 0)
		if err := m.Ack(d.ID()); !errors.Is(err, ErrNoVerdict) {
			t.Errorf("Ack: %v, want ErrNoVerdict", err)
		}
		soon := time.Now().Add(time.Minute)
		ok(t, m.Verdict(d.ID(), Verdict{Allow: true, User: "42", Rooms: []string{"b"}, UserData: map[string]any{"y": 2}, ExpiresAt: soon}))
		if err := m.Verdict(d.ID(), Verdict{}); !errors.Is(err, ErrNotInFlight) {
			t.Errorf("second verdict: %v, want ErrNotInFlight", err)
		}
		if !strings.HasPrefix(c.Next(), `40{"sid":`) {
			t.Error("not connected")
		}
		d = m.expect(t, "connected /")[0]
		expect(t, "user", d.UserID, "42")
		v, err := w.server.Connection(context.Background(), "/", d.ConnectionID)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "connection", fmt.Sprintln(v.UserID, v.Data, v.Expire.Equal(soon), len(v.Rooms)), "42 map[x:1 y:2] true 3\n")
		if err := m.Verdict(d.ID(), Verdict{}); !errors.Is(err, ErrNoVerdict) {
			t.Errorf("verdict on CONNECTED: %v, want ErrNoVerdict", err)
		}
		c.Close()
	}, token)
}

func TestRefused(t *testing.T) {
	const ask = "40"
	tests := []struct {
		name   string
		opts   Options
		do     func(*world, *Subscription)
		answer string // empty: the session is closed, so that the client comes back
	}{
		{"by verdict", Options{}, func(w *world, m *Subscription) {
			ok(t, m.Verdict(m.get(w.t).ID(), Verdict{Message: "no", Data: []byte(`{"code":1}`)}))
		}, `44{"message":"no","data":{"code":1}}`},
		{"without a word", Options{}, func(w *world, m *Subscription) {
			ok(t, m.Verdict(m.get(w.t).ID(), Verdict{}))
		}, `44{"message":"not authorized"}`},
		{"already expired", Options{}, func(w *world, m *Subscription) {
			ok(t, m.Verdict(m.get(w.t).ID(), Verdict{Allow: true, ExpiresAt: time.Now()}))
		}, `44{"message":"not authorized"}`},
		{"to come back", Options{}, func(w *world, m *Subscription) {
			ok(t, m.Verdict(m.get(w.t).ID(), Verdict{Message: "no", Retry: true}))
		}, ""},
		{"no verdict in time", Options{}, func(w *world, m *Subscription) { m.get(w.t) }, ""},
		{"nobody there", Options{}, func(_ *world, m *Subscription) { m.Close() }, ""},
		{"nobody there for long", Options{}, func(_ *world, m *Subscription) { m.Close() }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.opts, func(w *world) {
				m := w.subscribe(SubscriptionOptions{Authorize: true})
				c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
				c.Next()
				c.Say(ask)
				synctest.Wait()
				tt.do(w, m)
				if tt.answer == "" {
					c.MustClose(1000, sio.ReasonUnavailable)
				} else {
					expect(t, "answer", c.Next(), tt.answer)
				}
				synctest.Wait()
				for _, g := range w.Groups() {
					expect(t, "events left", g.Waiting, 0)
					expect(t, "bytes left", g.UnownedBytes, 0)
				}
				c.Close()
			})
		})
	}
	t.Run("verdict required, and nobody ever was there", func(t *testing.T) {
		inBubble(t, Options{RequireVerdict: true}, func(w *world) {
			w.subscribe(SubscriptionOptions{}) // does not authorise
			c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
			c.Next()
			c.Say(ask)
			c.MustClose(1000, sio.ReasonUnavailable)
			c.Close()
		})
	})
}

// A CONNECTING whose consumer dies is asked of another one in time.
func TestVerdictFromAnother(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a", Authorize: true})
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say("40")
		a.expect(t, "connecting / []")
		a.Close()
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b", Authorize: true})
		d := b.expect(t, "connecting / [] attempt 2")[0]
		ok(t, b.Verdict(d.ID(), Verdict{Allow: true}))
		expect(t, "answer", strings.HasPrefix(c.Next(), "40{"), true)
		c.Close()
	})
}

func TestGoneWhileConnecting(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Authorize: true, Lifecycle: true})
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say("40")
		d := m.expect(t, "connecting / []")[0]
		go w.server.Shutdown(context.Background())
		c.MustClose(1001, "server shutting down")
		synctest.Wait()
		if err := m.Verdict(d.ID(), Verdict{Allow: true}); !errors.Is(err, ErrNotInFlight) {
			t.Errorf("Verdict: %v, want ErrNotInFlight", err)
		}
		m.none(t)
		expect(t, "clients", len(w.clients), 0)
	})
}

func TestTail(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		all, err := w.Tail(TailFilter{})
		ok(t, err)
		some, err := w.Tail(TailFilter{Events: []string{"b"}, Kinds: []Kind{Message}})
		ok(t, err)
		c, _ := w.connect("")
		c.Say(`42["a"]`)
		c.Say(`42["b"]`)
		for _, want := range []string{"connected /", "message / a[]", "message / b[]"} {
			expect(t, "event", show(Delivery{Event: <-all.Events()}), want)
		}
		expect(t, "event", show(Delivery{Event: <-some.Events()}), "message / b[]")
		for range tailBuffer + 7 {
			c.Say(`42["b"]`)
		}
		synctest.Wait()
		expect(t, "dropped", some.Dropped(), 7)
		some.Stop()
		all.Stop()
		c.Say(`42["b"]`)
		synctest.Wait()
		expect(t, "dropped afterwards", some.Dropped(), 7)
		c.Close()
	})
}

func TestLimits(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		for i := range maxGroups {
			w.subscribe(SubscriptionOptions{Group: fmt.Sprint(i)})
		}
		if _, err := w.Subscribe(SubscriptionOptions{Group: "one more"}); !errors.Is(err, ErrTooMany) {
			t.Errorf("Subscribe: %v, want ErrTooMany", err)
		}
		for i := range maxSubscriptions - 1 { // one is there
			w.subscribe(SubscriptionOptions{Group: "0", ConsumerID: fmt.Sprint("c", i)})
		}
		if _, err := w.Subscribe(SubscriptionOptions{Group: "0", ConsumerID: "one more"}); !errors.Is(err, ErrTooMany) {
			t.Errorf("one consumer more: %v, want ErrTooMany", err)
		}
	})
}

// A subscription that drains gets nothing more, not even what was next in turn, and
// learns when it has settled everything.
func TestDrained(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a"})
		c, _ := w.connect("")
		c.Say(`42["n",1]`)
		first := a.get(t)
		c.Say(`42["n",2]`)
		synctest.Wait() // it is a's, and ready
		a.Drain()
		a.none(t)
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b"})
		b.none(t)
		drained := make(chan error, 1)
		go func() {
			_, err := a.Next(context.Background())
			drained <- err
		}()
		synctest.Wait()
		ok(t, a.Ack(first.ID()))
		if err := <-drained; !errors.Is(err, ErrDrained) {
			t.Errorf("Next: %v, want ErrDrained", err)
		}
		b.expect(t, "message / n[2]")
		c.Close()
	})
}

// A reply that no client could take leaves the browser waiting for another.
func TestReplyTooLarge(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		c.Say(`427["a"]`)
		c.Say(`428["b"]`)
		ds := m.expect(t, "message / a[]", "message / b[]")
		huge := []byte(`["` + strings.Repeat("x", 5<<20) + `"]`)
		if err := w.Reply(ds[0].ID(), nil, huge, nil); !errors.Is(err, sio.ErrTooLarge) {
			t.Errorf("Reply: %v, want ErrTooLarge", err)
		}
		for i, d := range ds {
			ok(t, w.Reply(d.ID(), nil, []byte(`["small"]`), nil))
			expect(t, "ack", c.Next(), fmt.Sprintf(`43%d["small"]`, 7+i))
		}
		c.Close()
	})
}

// Who decides sees the connection with what it was granted by then; who hears
// of its start sees it as it became.
func TestConnectionOfEvents(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Authorize: true, Lifecycle: true})
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket&q=1")
		c.Next()
		c.Say("40")
		d := m.get(t)
		see := func(d Delivery) string {
			v := d.Connection
			return fmt.Sprint(v.ID == d.ConnectionID, " ", v.UserID, " ", slices.DeleteFunc(slices.Clone(v.Rooms), func(r string) bool { return r == v.ID }), v.Data, v.Handshake.Query)
		}
		expect(t, "connecting", see(d), "true u [r] map[x:1] map[EIO:4 q:1 transport:websocket]")
		ok(t, m.Verdict(d.ID(), Verdict{Allow: true, User: "v", Rooms: []string{"s"}}))
		expect(t, "connected", see(m.get(t)), "true v [r s] map[x:1] map[EIO:4 q:1 transport:websocket]")
		c.Say(`42["x"]`)
		if d := m.expect(t, "message / x[]")[0]; d.Connection != nil {
			t.Errorf("a message has the connection %v", d.Connection)
		}
		c.Close()
	}, grants{User: "u", Rooms: []string{"r"}, Data: map[string]any{"x": 1}})
}

// A connection that is cut off and comes back is the same one: its events go on
// in the same queue with the numbers that follow, behind those not settled yet.
func TestComesBack(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Lifecycle: true, Authorize: true})
		open := func(auth string) (*wiretest.WS, string) {
			c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
			c.Next()
			c.Say("40" + auth)
			return c, auth
		}
		reply := func(c *wiretest.WS) (id, pid string) {
			var o struct{ SID, PID string }
			if err := json.Unmarshal([]byte(strings.TrimPrefix(c.Next(), "40")), &o); err != nil || o.PID == "" {
				t.Fatalf("CONNECT answered %+v, %v", o, err)
			}
			return o.SID, o.PID
		}
		c, _ := open("")
		d := m.get(t)
		ok(t, m.Verdict(d.ID(), Verdict{Allow: true, User: "u"}))
		id, pid := reply(c)
		c.Say(`42["a"]`)
		first := m.expect(t, "connected /", `message / a[]`)
		c.Close()
		first = append(first, m.expect(t, "disconnected / transport close")...)

		// Refused: what was not settled stays.
		c, auth := open(`{"pid":"` + pid + `"}`)
		d = m.get(t)
		expect(t, "asked", show(d), "connecting / ["+auth+"]")
		expect(t, "who asks", d.ConnectionID, id)
		expect(t, "its number", d.Sequence, 5)
		ok(t, m.Verdict(d.ID(), Verdict{}))
		expect(t, "answer", c.Next(), `44{"message":"not authorized"}`)
		for _, d := range first {
			ok(t, m.Ack(d.ID()))
		}

		c.Say("40" + auth)
		d = m.get(t)
		ok(t, m.Verdict(d.ID(), Verdict{Allow: true, User: "u"}))
		again, _ := reply(c)
		expect(t, "id", again, id)
		c.Say(`42["b"]`)
		second := m.expect(t, "connected /", `message / b[]`)
		expect(t, "number", second[1].Sequence, 8)
		expect(t, "recovered", second[0].Connection.Recovered(), true)
		for _, d := range second {
			ok(t, m.Ack(d.ID()))
		}
		c.Close()
		for _, d := range m.expect(t, "disconnected / transport close") {
			ok(t, m.Ack(d.ID()))
		}
		synctest.Wait()
		w.all()[0].mu.Lock()
		defer w.all()[0].mu.Unlock()
		expect(t, "queues left", len(w.all()[0].queues), 0)
	})
}
