package dispatch

import (
	"testing"
	"testing/synctest"
	"time"
)

// Groups that ask hear that a connection cannot be come back to any more: after its end,
// once, by its next number, however much else waits; then nothing of it is kept.
func TestRecoveryExpired(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		asks := w.subscribe(SubscriptionOptions{Group: "asks", Lifecycle: true, RecoveryExpired: true})
		others := w.subscribe(SubscriptionOptions{Group: "others", Lifecycle: true})
		c, id := w.connect("")
		c.Close()
		var all []Delivery
		for _, s := range []*Subscription{asks, others} {
			d := s.expect(t, "connected /", "disconnected / transport close")
			expect(t, "recoverable", d[1].Recoverable, true)
			for _, d := range d {
				ok(t, s.Ack(d.ID()))
			}
		}
		asks.none(t)
		time.Sleep(time.Minute)
		all = asks.expect(t, "recovery / expired")
		expect(t, "of", all[0].ConnectionID, id)
		expect(t, "number", all[0].Sequence, 3)
		ok(t, asks.Ack(all[0].ID()))
		time.Sleep(time.Hour)
		asks.none(t)
		others.none(t)
		for _, g := range w.all() {
			g.mu.Lock()
			expect(t, "queues left of "+g.name, len(g.queues), 0)
			g.mu.Unlock()
		}
	})
}

// It waits behind what came before and is not settled, and goes with that to another.
func TestRecoveryExpiredWaits(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		o := SubscriptionOptions{Lifecycle: true, RecoveryExpired: true, MaxInFlight: 1, AckWait: time.Hour}
		a := w.subscribe(o)
		c, _ := w.connect("")
		a.expect(t, "connected /")
		c.Close()
		synctest.Wait()
		time.Sleep(time.Minute)
		a.none(t)
		o.ConsumerID = "b"
		b := w.subscribe(o)
		a.Close()
		for _, want := range []string{"connected / attempt 2", "disconnected / transport close", "recovery / expired"} {
			ok(t, b.Ack(b.expect(t, want)[0].ID()))
		}
		b.none(t)
	})
}

// An end that is for good is not recoverable, and nothing follows it.
func TestNothingExpiresOfWhoLeft(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		s := w.subscribe(SubscriptionOptions{Lifecycle: true, RecoveryExpired: true})
		c, _ := w.connect("")
		defer c.Close()
		c.Say("41")
		d := s.expect(t, "connected /", "disconnected / client namespace disconnect")
		expect(t, "recoverable", d[1].Recoverable, false)
		time.Sleep(time.Second)
		s.none(t)
	})
}
