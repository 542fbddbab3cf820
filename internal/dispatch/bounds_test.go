package dispatch

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// sized returns an event whose text has about n bytes.
func sized(n int) string { return `42["m","` + strings.Repeat("x", n) + `"]` }

// queued returns what waits in the subscription's group, counted anew.
func (s *Subscription) queued() (bytes int) {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	for _, q := range s.group.queues {
		for _, it := range q.items {
			bytes += it.event.size
		}
	}
	return bytes
}

// What waits for a consumer exceeds its bound by no more than one event, however
// many browsers push; what they could not queue goes with their sessions.
func TestSubscriptionBoundHolds(t *testing.T) {
	const bound, size = 64 << 10, 500_000
	inBubble(t, Options{SubscriptionBytes: bound, GroupMemory: time.Hour}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		check := func(when string) {
			t.Helper()
			if n := m.queued(); n > bound+size {
				t.Errorf("%s %d bytes wait; the bound is %d, one event %d", when, n, bound, size)
			}
		}
		var all []*wiretest.WS
		for range 50 {
			c, _ := w.connect("")
			defer c.Close()
			all = append(all, c)
		}
		for _, c := range all {
			c.SayLater(sized(size))
		}
		synctest.Wait()
		check("of 50 browsers")
		time.Sleep(2 * time.Minute) // their sessions end: held up too long, or no pong
		expect(t, "connections left", w.server.Stats().Connections, 0)
		check("after they have gone")
		expect(t, "events not accepted", w.Stats().Dropped, 49)
	})
}

// The same holds for one connection, and what was accepted stays until it is
// acknowledged, though its connection is gone.
func TestQueueBoundHolds(t *testing.T) {
	const bound, size = 10_000, 3000
	inBubble(t, Options{QueueBytes: bound, StallTimeout: time.Hour}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Lifecycle: true})
		c, _ := w.connect("")
		c.SayLater(sized(size), sized(size), sized(size), sized(size), sized(2*bound))
		synctest.Wait()
		if n := m.queued(); n > bound {
			t.Errorf("%d bytes wait, the bound is %d", n, bound)
		}
		c.Close()
		time.Sleep(2 * time.Minute) // nobody reads that it is gone while it is held up
		expect(t, "connections left", w.server.Stats().Connections, 0)
		var kinds []Kind
		for d, more, _ := m.Poll(); more; d, more, _ = m.Poll() {
			kinds = append(kinds, d.Kind)
			ok(t, m.Ack(d.ID()))
		}
		expect(t, "what was delivered", fmt.Sprint(kinds), fmt.Sprint([]Kind{Connected, Message, Message, Disconnected}))
		expect(t, "events not accepted", w.Stats().Dropped, 1)
		expect(t, "what is left", m.queued(), 0)
	})
}

// An event larger than the bound is let in once nothing else waits.
func TestEventLargerThanTheBound(t *testing.T) {
	inBubble(t, Options{QueueBytes: 1000}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		c.SayLater(`42["a"]`, sized(5000), `42["b"]`)
		a := m.expect(t, "message / a[]")[0]
		m.none(t)
		ok(t, m.Ack(a.ID()))
		big := m.get(t)
		expect(t, "its name", big.Name, "m")
		m.none(t)
		ok(t, m.Ack(big.ID()))
		m.expect(t, "message / b[]")
		c.Close()
	})
}

// A browser that has to wait stands once in the list of those that do, however
// long the consumer's queue stays near its bound.
func TestOneEntryForEachThatWaits(t *testing.T) {
	const bound, n = 64 << 10, 200
	inBubble(t, Options{SubscriptionBytes: bound, QueueBytes: 1 << 30}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{MaxInFlight: 10000})
		c, _ := w.connect("")
		texts := make([]string, n)
		for i := range texts {
			texts[i] = sized(4000)
		}
		c.SayLater(texts...)
		var inFlight []string
		for range n - 20 {
			synctest.Wait()
			for d, more, _ := m.Poll(); more; d, more, _ = m.Poll() {
				inFlight = append(inFlight, d.ID())
			}
			if len(inFlight) == 0 {
				t.Fatal("nothing is in flight")
			}
			ok(t, m.Ack(inFlight[0]))
			inFlight = inFlight[1:]
			m.group.mu.Lock()
			waiting, bytes := m.waiting.Len(), m.bytes
			m.group.mu.Unlock()
			if waiting > 1 || bytes > bound {
				t.Fatalf("%d entries for one browser, %d bytes of %d", waiting, bytes, bound)
			}
		}
		c.Close()
	})
}

// Those that wait for a consumer are let in one after the other, as they came.
func TestFirstComeFirstServed(t *testing.T) {
	inBubble(t, Options{SubscriptionBytes: 600, StallTimeout: time.Hour}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{MaxInFlight: 1})
		var all []*wiretest.WS
		for range 6 {
			c, _ := w.connect("")
			defer c.Close()
			all = append(all, c)
		}
		for i, c := range all {
			c.SayLater(fmt.Sprintf(`42["n",%d]`, i))
			synctest.Wait()
		}
		for i := range 6 {
			ok(t, m.Ack(m.expect(t, fmt.Sprintf("message / n[%d]", i))[0].ID()))
		}
	})
}

// A small event, for which there is room, does not overtake a larger one that
// waits for the same consumer.
func TestNothingOvertakesWhatWaits(t *testing.T) {
	inBubble(t, Options{SubscriptionBytes: 2000, StallTimeout: time.Hour}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		var all []*wiretest.WS
		for range 3 {
			c, _ := w.connect("")
			defer c.Close()
			all = append(all, c)
		}
		for i, text := range []string{sized(500), `42["large","` + strings.Repeat("x", 1500) + `"]`, `42["small"]`} {
			all[i].SayLater(text)
			synctest.Wait()
		}
		first := m.get(t)
		m.none(t)
		ok(t, m.Ack(first.ID()))
		large := m.get(t)
		expect(t, "the second", large.Name, "large")
		ok(t, m.Ack(large.ID()))
		m.expect(t, "message / small[]")
	})
}

// An event comes into the queue of each group that has room, though another
// group has none.
func TestGroupsAcceptOnTheirOwn(t *testing.T) {
	inBubble(t, Options{QueueBytes: 600, StallTimeout: time.Hour}, func(w *world) {
		slow, quick := w.subscribe(SubscriptionOptions{Group: "slow"}), w.subscribe(SubscriptionOptions{Group: "quick"})
		c, _ := w.connect("")
		c.SayLater(numbered(10)...)
		for i := range 3 {
			ok(t, quick.Ack(quick.expect(t, fmt.Sprintf("message / n[%d]", i))[0].ID()))
		}
		quick.none(t) // the third waits for the other group, and what follows waits for the third
		for i := range 10 {
			ok(t, slow.Ack(slow.expect(t, fmt.Sprintf("message / n[%d]", i))[0].ID()))
			if i > 0 && i < 8 {
				ok(t, quick.Ack(quick.expect(t, fmt.Sprintf("message / n[%d]", i+2))[0].ID()))
			}
		}
		expect(t, "dropped", w.Stats().Dropped, 0)
		c.Close()
	})
}

// What waits for room in a subscription's queue waits for that of another once the
// connection moves there, and does not exceed its bound either.
func TestHeldEventsMove(t *testing.T) {
	const bound, size = 20_000, 5000
	inBubble(t, Options{SubscriptionBytes: bound, StallTimeout: time.Hour}, func(w *world) {
		a := w.subscribe(SubscriptionOptions{ConsumerID: "a"})
		var all []*wiretest.WS
		for range 10 {
			c, _ := w.connect("")
			defer c.Close()
			all = append(all, c)
		}
		for _, c := range all {
			c.SayLater(sized(size))
		}
		synctest.Wait()
		b := w.subscribe(SubscriptionOptions{ConsumerID: "b"})
		a.Close()
		if n := b.queued(); n > bound {
			t.Errorf("%d bytes wait, the bound is %d", n, bound)
		}
		for range 10 {
			ok(t, b.Ack(b.get(t).ID()))
		}
		b.none(t)
	})
}

// A connection whose start found no room is not known to the group, and its end
// is not told either.
func TestNoEndWithoutAStart(t *testing.T) {
	inBubble(t, Options{SubscriptionBytes: 1000, HoldTimeout: time.Second, StallTimeout: time.Hour}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{Lifecycle: true})
		first, _ := w.connect("")
		defer first.Close()
		first.Say(sized(100)) // no more than this is free, so that others may still come
		synctest.Wait()
		c, _ := w.connect("")
		defer c.Close()
		c.MustClose(1000, ReasonStalled)
		m.expect(t, "connected /")
		expect(t, "what the first said", m.get(t).Kind, Message)
		m.none(t)
	})
}
