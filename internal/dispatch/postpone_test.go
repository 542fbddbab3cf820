package dispatch

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// say has a browser send these.
func say(c *wiretest.WS, texts []string) {
	for _, text := range texts {
		c.Say(text)
	}
}

// Of each connection one event is in flight, so that a busy one takes one place.
func TestOneByOne(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{OneByOne: true, MaxInFlight: 2})
		busy, _ := w.connect("")
		say(busy, numbered(3))
		first := m.expect(t, "message / n[0]")[0]
		m.none(t)
		other, _ := w.connect("")
		other.Say(`42["other"]`)
		late := m.expect(t, "message / other[]")[0]
		ok(t, m.Ack(first.ID()))
		second := m.expect(t, "message / n[1]")[0]
		ok(t, m.Nack(second.ID(), time.Second))
		c, told := m.Cancelled()
		if !told || len(c.IDs) != 1 {
			t.Errorf("cancelled %v, want the one that was given back", c)
		}
		m.none(t)
		time.Sleep(time.Second)
		ok(t, m.Ack(m.expect(t, "message / n[1] attempt 2")[0].ID()))
		ok(t, m.Ack(m.expect(t, "message / n[2]")[0].ID()))
		m.none(t)
		ok(t, m.Ack(late.ID()))
		busy.Close()
		other.Close()
	})
}

// What is postponed is no failure of the event: it comes again in order, however often,
// and goes to another consumer if there is one.
func TestPostpone(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 2}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{ConsumerID: "a"})
		c, _ := w.connect("")
		say(c, numbered(2))
		for attempt := range 50 {
			suffix := ""
			if attempt > 0 {
				suffix = fmt.Sprint(" attempt ", attempt+1)
			}
			d := m.expect(t, "message / n[0]"+suffix, "message / n[1]"+suffix)[0]
			ok(t, m.Postpone(d.ID(), time.Minute))
			if told, _ := m.Cancelled(); len(told.IDs) != 2 || told.Reason != GivenBack {
				t.Fatalf("cancelled %v, want both, given back", told)
			}
			m.none(t)
			time.Sleep(time.Minute)
		}
		d := m.expect(t, "message / n[0] attempt 51", "message / n[1] attempt 51")[0]
		other := w.subscribe(SubscriptionOptions{ConsumerID: "b"})
		ok(t, m.Postpone(d.ID(), time.Second))
		time.Sleep(time.Second)
		for i, d := range other.expect(t, "message / n[0] attempt 52", "message / n[1] attempt 52") {
			ok(t, other.Ack(d.ID()))
			if i == 0 {
				if err := m.Ack(d.ID()); err == nil {
					t.Error("the one that gave it back settles it")
				}
			}
		}
		expect(t, "dead letters", w.Stats().DeadLetters, 0)
		c.Close()
	})
}

// Who postpones everything holds up no browser that another group serves; it loses what
// it has no room for, and takes part again once it settles something.
func TestPostponeHoldsUpNobody(t *testing.T) {
	inBubble(t, Options{QueueBytes: 2000}, func(w *world) {
		away := w.subscribe(SubscriptionOptions{Group: "away", OneByOne: true})
		live := w.subscribe(SubscriptionOptions{Group: "live"})
		back := make(chan struct{})
		var settled []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				d, err := away.Next(context.Background())
				if err != nil {
					return
				}
				select {
				case <-back:
					settled = append(settled, d.Args)
					_ = away.Ack(d.ID())
				default:
					_ = away.Postpone(d.ID(), time.Second)
				}
			}
		}()
		got := live.consumeAll(t)
		c, _ := w.connect("")
		const n = 200
		for i := range n {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
			time.Sleep(100 * time.Millisecond)
		}
		expect(t, "events that the other group had", countOf(got(), "message / n["), n)
		expect(t, "sessions closed", w.Stats().StalledSessions, 0)
		close(back)
		time.Sleep(2 * time.Second)
		c.Say(`42["n",200]`)
		synctest.Wait()
		if len(settled) < 3 || settled[0] != "[0]" || settled[len(settled)-1] != "[200]" {
			t.Errorf("then it settled %q, want what it had room for from the first on, and the next", settled)
		}
		away.Close()
		<-done
		c.Close()
	})
}

func TestBury(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{OneByOne: true})
		c, _ := w.connect("")
		say(c, numbered(2))
		d := m.expect(t, "message / n[0]")[0]
		ok(t, m.Bury(d.ID()))
		ok(t, m.Ack(m.expect(t, "message / n[1]")[0].ID()))
		letters, _ := w.DeadLetters(DeadLetterFilter{}, "", 10)
		if len(letters) != 1 || letters[0].Event.ID() != d.ID() || letters[0].Reason != Nacked {
			t.Errorf("dead letters %v, want the one", letters)
		}
		c.Close()
	})
}
