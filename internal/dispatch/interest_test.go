package dispatch

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// knock asks to connect and returns whether the browser got in.
func (w *world) knock(namespace string, decide func()) bool {
	w.t.Helper()
	c := w.listener.MustDialWS(w.t, "EIO=4&transport=websocket")
	defer c.Close()
	c.Next()
	c.Say("40" + namespace)
	synctest.Wait()
	decide()
	_, answer, err := c.ReadMessage()
	return err == nil && !strings.HasPrefix(string(answer), "44") // it is closed where nobody decides
}

// A namespace that a group authorises stays authorised, no matter who joins, looks on or
// leaves, until the group is deleted.
func TestAuthorisationStays(t *testing.T) {
	for name, authorized := range map[string][]string{"everything": nil, "a star": {"/", "*"}, "a name": {"/chat"}, "a pattern": {"/ch*"}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{VerdictTimeout: time.Second}, func(w *world) {
				nobody := func() {}
				m := w.subscribe(SubscriptionOptions{Authorize: true, Namespaces: authorized})
				asked := func(when string) {
					t.Helper()
					if !w.knock("/chat", func() { ok(t, m.Verdict(m.get(t).ID(), Verdict{Allow: true})) }) {
						t.Errorf("%s: not let in", when)
					}
				}
				asked("at first")
				plain := w.subscribe(SubscriptionOptions{ConsumerID: "plain", Namespaces: []string{"/"}})
				asked("beside a member that does not authorise")
				plain.Close()
				asked("after it has left")
				w.subscribe(SubscriptionOptions{ConsumerID: "look", Authorize: true, Namespaces: []string{"/"}}).Close()
				asked("after a look elsewhere")
				m.Close()
				time.Sleep(time.Hour)
				if w.knock("/chat", nobody) {
					t.Error("let in though nobody decided")
				}
				w.subscribe(SubscriptionOptions{}) // does not authorise
				if w.knock("/chat", nobody) {
					t.Error("let in though the only member does not authorise")
				}
				ended, err := w.DeleteGroup("g")
				ok(t, err)
				expect(t, "subscriptions that ended", ended, 1)
				if !w.knock("/chat", nobody) {
					t.Error("not let in though the group was deleted")
				}
			})
		})
	}
}

// The last one who authorises is missed aloud, once.
func TestMissingAuthorizerWarns(t *testing.T) {
	var logged strings.Builder
	inBubble(t, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, func(w *world) {
		w.subscribe(SubscriptionOptions{})
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a", Authorize: true})
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b", Authorize: true})
		a.Close()
		expect(t, "warnings while there is another", logged.Len(), 0)
		b.Close()
		b.Close()
		expect(t, "warnings", strings.Count(logged.String(), "the last consumer that authorises has left"), 1)
	})
}

// Each member gets what it asked for, in order; a connection moves to one that
// asked for its next event.
func TestMembersAskForDifferentEvents(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a", Events: []string{"a", "both"}})
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b", Events: []string{"b", "both"}, Lifecycle: true})
		c, _ := w.connect("")
		defer c.Close()
		for _, e := range []string{"a", "both", "b", "both", "a", "neither"} {
			c.Say(`42["` + e + `"]`)
		}
		settle := func(s *Subscription, ds ...Delivery) {
			for _, d := range ds {
				ok(t, s.Ack(d.ID()))
			}
		}
		a.none(t)
		settle(b, b.expect(t, "connected /")...)
		ds := a.expect(t, "message / a[]", "message / both[]")
		a.none(t)
		settle(a, ds[0])
		b.none(t) // one of the connection is in flight to the other
		settle(a, ds[1])
		settle(b, b.expect(t, "message / b[]", "message / both[]")...)
		settle(a, a.expect(t, "message / a[]")...)
		a.none(t)
		b.none(t)
		expect(t, "dropped", w.Stats().Dropped, 0)
	})
}

// What only a member asked for that has left is kept for a minute if it had settled
// something, and is dropped else.
func TestDepartedMember(t *testing.T) {
	for _, settles := range []bool{false, true} {
		t.Run(fmt.Sprint("settled ", settles), func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				stays := w.subscribe(SubscriptionOptions{ConsumerID: "stays", Events: []string{"a"}})
				leaves := w.subscribe(SubscriptionOptions{ConsumerID: "leaves", Events: []string{"b"}})
				c, _ := w.connect("")
				defer c.Close()
				c.Idle()
				c.Say(`42["b",1]`)
				d := leaves.expect(t, "message / b[1]")[0]
				if settles {
					ok(t, leaves.Ack(d.ID()))
				}
				leaves.Close()
				c.Say(`42["b",2]`)
				c.Say(`42["a"]`)
				if !settles {
					stays.expect(t, "message / a[]")
					expect(t, "dropped", w.Stats().Dropped, 1)
					return
				}
				stays.none(t) // it stands behind one that is kept
				time.Sleep(59 * time.Second)
				stays.none(t)
				time.Sleep(2 * time.Second)
				stays.expect(t, "message / a[]")
				expect(t, "dropped", w.Stats().Dropped, 1)
			})
		})
	}
}

// A look changes nothing: neither what is asked for nor who gets in, and a group
// that was only looked at is gone.
func TestLookLeavesNoTrace(t *testing.T) {
	inBubble(t, Options{SubscriptionBytes: 1000}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Namespaces: []string{"/chat"}})
		w.subscribe(SubscriptionOptions{ConsumerID: "look", Lifecycle: true}).Close()
		w.subscribe(SubscriptionOptions{Group: "oops"}).Close()
		synctest.Wait()
		expect(t, "groups", len(w.Groups()), 1)
		for range 10 {
			c, _ := w.connect("")
			defer c.Close()
			c.Say(`42["x"]`)
		}
		m.none(t)
		expect(t, "waiting", w.Groups()[0].Waiting, 0)
		c, _ := w.connect("/chat")
		defer c.Close()
		c.Say(`42/chat,["x"]`)
		m.expect(t, "message /chat x[]")
	})
}

// What was accepted for the only member stays though it leaves, or crashes, before
// it has settled anything.
func TestFirstDeliveryIsNotLost(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		first := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		defer c.Close()
		c.Say(`42["x"]`)
		first.get(t)
		first.Close()
		c.Say(`42["unheard"]`)
		synctest.Wait()
		again := w.subscribe(SubscriptionOptions{})
		again.expect(t, "message / x[] attempt 2")
		again.none(t)
	})
}

func TestDeleteGroup(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Authorize: true, Lifecycle: true})
		if w.knock("", func() {
			m.get(t)
			_, err := w.DeleteGroup("g")
			ok(t, err)
		}) {
			t.Error("a group that decides no more let somebody in")
		}
		expect(t, "why it ended", m.Err(), ErrGroupDeleted)
		expect(t, "groups", len(w.Groups()), 0)
		_, err := w.DeleteGroup("g")
		expect(t, "once more", err, ErrNoGroup)
		w.subscribe(SubscriptionOptions{})
		expect(t, "groups", len(w.Groups()), 1)
	})
}

func TestDisconnectConsumer(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a"})
		c, _ := w.connect("")
		defer c.Close()
		c.Say(`42["x"]`)
		a.get(t)
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b"})
		ok(t, w.DisconnectConsumer("g", "a"))
		expect(t, "why it ended", a.Err(), ErrDisconnected)
		b.expect(t, "message / x[] attempt 2")
		expect(t, "no consumer", w.DisconnectConsumer("g", "a"), ErrNoConsumer)
		expect(t, "no group", w.DisconnectConsumer("h", "a"), ErrNoGroup)
	})
}

// Groups that authorise and have nobody keep no other group out, and are bounded.
func TestManyAuthorizingGroups(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		for i := range maxAuthorizingGroups {
			w.subscribe(SubscriptionOptions{Group: fmt.Sprint("pod-", i), Authorize: true}).Close()
		}
		w.subscribe(SubscriptionOptions{})
		_, err := w.Subscribe(SubscriptionOptions{Group: "new", Authorize: true})
		if !errors.Is(err, ErrTooMany) || !strings.Contains(err.Error(), "DeleteGroup") {
			t.Errorf("one more: %v", err)
		}
		live := w.subscribe(SubscriptionOptions{Group: "new"})
		_, err = w.Subscribe(SubscriptionOptions{Group: "new", Authorize: true})
		if !errors.Is(err, ErrTooMany) {
			t.Errorf("one more, by another of its consumers: %v", err)
		}
		live.Close()
		w.subscribe(SubscriptionOptions{Group: "pod-7", Authorize: true})
		_, err = w.DeleteGroup("pod-8")
		ok(t, err)
		w.subscribe(SubscriptionOptions{Group: "new", Authorize: true})
	})
}

// A backend that is started again and again, each time later than the last memory of it
// would have ended, and dies of one event: that becomes a dead letter, and nothing else
// is lost.
func TestSlowCrashLoop(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 5}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		o, _ := w.connect("")
		c.Idle()
		o.Idle()
		c.Say(`42["fine"]`)
		ok(t, a.Ack(a.get(t).ID()))
		a.Close()
		c.Say(`42["poison"]`)
		synctest.Wait()
		time.Sleep(time.Second)
		o.Say(`42["innocent"]`)
		for w.Stats().DeadLetters == 0 {
			time.Sleep(30 * time.Second)
			s := w.subscribe(SubscriptionOptions{MaxInFlight: 1})
			synctest.Wait()
			if d, is, _ := s.Poll(); !is || d.Name != "poison" {
				t.Fatalf("after %d dropped there is none, or another: %t", w.Stats().Dropped, is)
			}
			s.Close()
		}
		w.subscribe(SubscriptionOptions{}).expect(t, "message / innocent[]")
		expect(t, "dropped", w.Stats().Dropped, 0)
		c.Close()
		o.Close()
	})
}

// A group that authorises is not removed when nobody is remembered any more, and yet is
// told of everybody when somebody asks again: it heard of no end meanwhile.
func TestAuthorizingGroupIsToldAnew(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		s := w.subscribe(SubscriptionOptions{Lifecycle: true, Authorize: true})
		var browsers []*wiretest.WS
		for range 2 {
			c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
			c.Next()
			c.Say("40")
			ok(t, s.Verdict(s.get(t).ID(), Verdict{Allow: true}))
			c.Next()
			c.Idle()
			browsers = append(browsers, c)
			ok(t, s.Ack(s.expect(t, "connected /")[0].ID()))
		}
		s.Close()
		time.Sleep(2 * time.Minute)
		browsers[0].Close()
		synctest.Wait()
		s = w.subscribe(SubscriptionOptions{Lifecycle: true, Authorize: true})
		s.expect(t, "connected / existing")
		s.none(t)
		browsers[1].Close()
		s.expect(t, "disconnected / transport close")
	})
}
