package dispatch

import (
	"fmt"
	"testing"
	"time"
)

// worker is a consumer that takes what it may and handles an event each millisecond, in
// the order in which they came.
type worker struct {
	s     *Subscription // nil: it is starting
	since time.Duration // when that began
	fifo  []Delivery
}

// A group whose consumers are killed every second, with a thousand events in flight, goes
// on: what it can handle is handled soon, and nothing that was in flight is given up.
func TestCrashesUnderLoad(t *testing.T) {
	const (
		connections = 50
		tick        = 10 * time.Millisecond
		lifetime    = 2 * time.Second // of each of two workers, one second apart
		startup     = 500 * time.Millisecond
		run         = 30 * time.Second
	)
	inCrowd(t, connections, SubscriptionOptions{ConsumerID: "first", AckWait: time.Hour}, func(c *crowd, first *Subscription) {
		first.Close()
		began := time.Now()
		now := func() time.Duration { return time.Since(began) }
		workers := []*worker{{since: -time.Second}, {since: -startup}}
		pushed, handled, born := 0, 0, 0
		pushedAt := map[string]time.Duration{}
		done := map[string]bool{}
		var longest time.Duration
		work := func(w *worker) {
			if w.s == nil {
				if now()-w.since < startup {
					return
				}
				born++
				w.s, w.since = c.join(SubscriptionOptions{ConsumerID: fmt.Sprint(born), AckWait: time.Hour}), now()
			}
			for range tick / time.Millisecond {
				for d, more, _ := w.s.Poll(); more; d, more, _ = w.s.Poll() {
					w.fifo = append(w.fifo, d)
				}
				if len(w.fifo) == 0 {
					break
				}
				d := w.fifo[0]
				w.fifo = w.fifo[1:]
				ok(t, w.s.Ack(d.ID()))
				if !done[d.ID()] {
					done[d.ID()] = true
					handled++
					longest = max(longest, now()-pushedAt[d.ID()])
				}
			}
			if now()-w.since >= lifetime && now() < run {
				w.s.Close()
				*w = worker{since: now()}
			}
		}
		for tickNumber := 0; now() < run || handled < pushed; tickNumber++ {
			if now() < run && tickNumber%5 == 0 { // 1,000 events in a second, which one worker can handle
				c.push()
				for i := range connections {
					pushedAt[fmt.Sprintf("%s.%d", connectionName(i), c.sequence)] = now()
				}
				pushed += connections
			}
			for _, w := range workers {
				work(w)
			}
			time.Sleep(tick)
			if now() > 10*run {
				break
			}
		}
		t.Logf("%d consumers; the longest that an event waited is %v; all were handled after %v", born, longest, now())
		expect(t, "handled", handled, pushed)
		expect(t, "dead letters", len(c.dispatcher.deadLetters.letters), 0)
		if longest > 5*time.Second {
			t.Errorf("an event waited for %v", longest)
		}
	})
}
