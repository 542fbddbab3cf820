package dispatch

import (
	"testing"
	"testing/synctest"
	"time"
)

// A group counts what waits, in bytes too, and how long, what it delivered, once more
// or in vain; another one only its own.
func TestGroupCounts(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 2, Policy: Drop}, func(w *world) {
		counts := func(name string) GroupCounts {
			synctest.Wait()
			c := w.Stats().Groups[name]
			c.Bytes = 0
			return c
		}
		m := w.subscribe(SubscriptionOptions{MaxInFlight: 2})
		idle := w.subscribe(SubscriptionOptions{Group: "idle", Events: []string{"other"}})
		expect(t, "at first", counts("g"), GroupCounts{Consumers: 1})
		c, _ := w.connect("")
		defer c.Close()
		c.Say(`42["a"]`)
		time.Sleep(2 * time.Second)
		c.Say(`42["b"]`)
		c.Say(`42["c"]`)
		ds := m.expect(t, "message / a[]", "message / b[]")
		got := counts("g")
		expect(t, "oldest", got.OldestAge.Round(time.Second), 2*time.Second)
		got.OldestAge = 0
		expect(t, "in flight", got, GroupCounts{Consumers: 1, Waiting: 3, InFlight: 2, Delivered: 2})
		if bytes := w.Stats().Groups["g"].Bytes; bytes < 3*eventOverhead {
			t.Errorf("%d bytes of three events", bytes)
		}
		ok(t, m.Ack(ds[0].ID()))
		expect(t, "oldest, once the first is settled", counts("g").OldestAge < time.Second, true)
		ok(t, m.Nack(ds[1].ID(), time.Millisecond))
		time.Sleep(time.Second)
		ok(t, m.Nack(m.expect(t, "message / b[] attempt 2")[0].ID(), 0))
		got = counts("g")
		expect(t, "dead letters", got.DeadLetters, 1)
		expect(t, "redelivered", got.Redelivered, 0)
		m.expect(t, "message / c[]")
		replaced := w.subscribe(SubscriptionOptions{})
		expect(t, "redelivered", counts("g").Redelivered, 1)
		ok(t, replaced.Ack(replaced.get(t).ID()))
		expect(t, "left", counts("g").Waiting, 0)
		expect(t, "oldest of nothing", counts("g").OldestAge, 0)
		replaced.Close()
		c.Say(`42["dropped"]`)
		expect(t, "dropped", counts("g").Dropped, 1)
		expect(t, "the other group", counts("idle"), GroupCounts{Consumers: 1})
		idle.Close()
	})
}

// What was there before the group has not waited for it.
func TestExistingIsNotOld(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		time.Sleep(time.Hour)
		m := w.subscribe(SubscriptionOptions{Lifecycle: true})
		m.expect(t, "connected / existing")
		time.Sleep(5 * time.Second)
		expect(t, "oldest", w.Stats().Groups["g"].OldestAge.Round(time.Second), 5*time.Second)
	})
}
