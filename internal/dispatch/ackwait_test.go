package dispatch

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// cancels fails unless exactly these deliveries were taken back, in order.
func (s *Subscription) cancels(t *testing.T, reason CancelReason, ids ...string) {
	t.Helper()
	synctest.Wait()
	got, _ := s.Cancelled()
	expect(t, "taken back", fmt.Sprint(got), fmt.Sprint(Cancelled{IDs: ids, Reason: reason}))
	if more, ok := s.Cancelled(); ok {
		t.Errorf("taken back too: %v", more)
	}
}

// A consumer that gives an event back is told what it has in vain before anything of
// that connection comes: also where nothing is attempted again, since the event became
// a dead letter.
func TestNackCancels(t *testing.T) {
	for _, attempts := range []int{1, 10} {
		t.Run(fmt.Sprint(attempts), func(t *testing.T) {
			inBubble(t, Options{MaxAttempts: attempts}, func(w *world) {
				m := w.subscribe(SubscriptionOptions{})
				c, _ := w.connect("")
				defer c.Close()
				c.Idle()
				for i := range 4 {
					c.Say(fmt.Sprintf(`42["n",%d]`, i))
				}
				ds := m.expect(t, "message / n[0]", "message / n[1]", "message / n[2]", "message / n[3]")
				ok(t, m.Ack(ds[2].ID()))
				ok(t, m.Nack(ds[1].ID(), 0))
				m.cancels(t, GivenBack, ds[1].ID(), ds[3].ID())
				ok(t, m.Ack(ds[0].ID())) // what came before stays in flight
			})
		})
	}
}

// A consumer that is slow but settles within the ack wait is left alone, and so is
// its browser.
func TestSlowIsNotDead(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{MaxInFlight: 1})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		for i := range 6 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		for i := range 6 {
			d := m.expect(t, fmt.Sprintf("message / n[%d]", i))[0]
			time.Sleep(29 * time.Second)
			ok(t, m.Ack(d.ID()))
		}
		expect(t, "redelivered", w.Stats().Redelivered, 0)
		expect(t, "why it ended", m.Err(), nil)
	})
}

// The wait begins with a delivery, or the settlement of the one before it.
func TestAckWaitOfTheOldest(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{AckWait: 10 * time.Second})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		for i := range 3 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		ds := m.expect(t, "message / n[0]", "message / n[1]", "message / n[2]")
		time.Sleep(9 * time.Second)
		ok(t, m.Ack(ds[1].ID())) // not the oldest: no news of that one
		ok(t, m.Working(ds[0].ID()))
		time.Sleep(9 * time.Second)
		ok(t, m.Ack(ds[0].ID()))
		time.Sleep(9 * time.Second)
		m.none(t)
		expect(t, "redelivered", w.Stats().Redelivered, 0)
		time.Sleep(2 * time.Second)
		m.cancels(t, AckWaitOver, ds[2].ID())
		m.expect(t, "message / n[2] attempt 2") // there is nobody else
	})
}

// Past the ack wait the connection moves with all that follows, in order, and
// nothing else does; late settlements are refused.
func TestAckWaitMovesTheConnection(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		hangs := w.subscribe(SubscriptionOptions{ConsumerID: "hangs", AckWait: 10 * time.Second})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		fine, _ := w.connect("")
		defer fine.Close()
		fine.Idle()
		for i := range 3 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		ds := hangs.expect(t, "message / n[0]", "message / n[1]", "message / n[2]")
		fine.Say(`42["fine"]`)
		d := hangs.expect(t, "message / fine[]")[0]
		other := w.subscribe(SubscriptionOptions{ConsumerID: "other"})
		time.Sleep(5 * time.Second)
		ok(t, hangs.Working(d.ID()))
		ok(t, hangs.Ack(ds[1].ID()))
		c.Say(`42["n",3]`)
		time.Sleep(6 * time.Second)
		hangs.cancels(t, AckWaitOver, ds[0].ID(), ds[2].ID())
		other.expect(t, "message / n[0] attempt 2", "message / n[2] attempt 2", "message / n[3]")
		expect(t, "late", hangs.Ack(ds[0].ID()), ErrNotInFlight)
		expect(t, "late work", hangs.Working(ds[0].ID()), ErrNotInFlight)
		ok(t, hangs.Ack(d.ID()))
		fine.Say(`42["fine"]`)
		hangs.expect(t, "message / fine[]")
		expect(t, "why it ended", hangs.Err(), nil)
	})
}

// New connections go to those that settle in time.
func TestLateComesLast(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		hangs := w.subscribe(SubscriptionOptions{ConsumerID: "hangs", AckWait: 10 * time.Second})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		c.Say(`42["x"]`)
		hangs.get(t)
		other := w.subscribe(SubscriptionOptions{ConsumerID: "other"})
		time.Sleep(11 * time.Second)
		for i := range 20 {
			c, _ := w.connect("")
			defer c.Close()
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		synctest.Wait()
		expect(t, "connections of who hangs", w.Groups()[0].Subscriptions[0].Connections, 0)
		other.expect(t, "message / x[] attempt 2")
	})
}

// A question whose client leaves is taken back, and frees its place.
func TestQuestionIsTakenBack(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Authorize: true, Lifecycle: true, MaxInFlight: 1})
		c := w.listener.MustDialWS(t, "EIO=4&transport=websocket")
		c.Next()
		c.Say("40")
		d := m.expect(t, "connecting / []")[0]
		time.Sleep(6 * time.Second) // the verdict does not come in time
		m.cancels(t, ClientLeft, d.ID())
		expect(t, "late", m.Verdict(d.ID(), Verdict{Allow: true}), ErrNotInFlight)
		expect(t, "in flight", w.Groups()[0].Subscriptions[0].InFlight, 0)
		m.none(t)
		c.Close()
	})
}

// A consumer that had all it may have in flight until just now is not stalled: what
// was taken back makes room, and it is to have time to read what waited for that.
func TestTakeBackIsNoStall(t *testing.T) {
	for range 20 { // both timers end at the same moment, in any order
		inBubble(t, Options{StallTimeout: 30 * time.Second}, func(w *world) {
			m := w.subscribe(SubscriptionOptions{MaxInFlight: 1, AckWait: 30 * time.Second})
			a, _ := w.connect("")
			defer a.Close()
			b, _ := w.connect("")
			defer b.Close()
			a.Say(`42["slow"]`)
			m.get(t)
			b.Say(`42["waits"]`)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			expect(t, "why it ended", m.Err(), nil)
		})
	}
}
