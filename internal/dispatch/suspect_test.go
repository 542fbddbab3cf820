package dispatch

import (
	"fmt"
	"testing"
	"time"
)

// An event that brings down every consumer is buried after max-attempts ends; what
// stood beside it is not, and other connections go on meanwhile.
func TestPoison(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 5}, func(w *world) {
		bad, _ := w.connect("")
		defer bad.Close()
		bad.Idle()
		fine, _ := w.connect("")
		defer fine.Close()
		fine.Idle()
		start := func(n int) *Subscription { return w.subscribe(SubscriptionOptions{ConsumerID: fmt.Sprint(n)}) }
		m := start(0)
		bad.Say(`42["poison"]`)
		bad.Say(`42["after"]`)
		var handled, sent, ends, deaths int
		var attempt uint32
		for range 40 {
			fine.Say(fmt.Sprintf(`42["n",%d]`, sent))
			sent++
			time.Sleep(time.Second)
			var batch []Delivery
			poison := false
			for d, more, _ := m.Poll(); more; d, more, _ = m.Poll() {
				batch = append(batch, d)
				poison = poison || d.Name == "poison"
			}
			if poison { // it takes all that is in flight with it
				for _, d := range batch {
					if d.Name == "poison" {
						if d.Attempt != attempt+1 {
							t.Errorf("attempt %d after %d", d.Attempt, attempt)
						}
						attempt = d.Attempt
					}
				}
				m.Close()
				ends++
				m = start(ends)
				continue
			}
			for _, d := range batch {
				if d.Name == "n" {
					handled++
				} else {
					deaths++
				}
				ok(t, m.Ack(d.ID()))
			}
		}
		if ends < 5 || ends > 6 {
			t.Errorf("%d consumers ended, want 5 or 6", ends)
		}
		expect(t, "what followed", deaths, 1)
		if handled < sent-1 {
			t.Errorf("%d of %d others were handled", handled, sent)
		}
		letters := w.deadLetters.letters
		if len(letters) != 1 || letters[0].Event.Name != "poison" || letters[0].Reason != Crashed {
			t.Errorf("dead letters: %+v", letters)
		}
	})
}

// An event that nobody settles in time is buried too.
func TestAckWaitBuries(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 3}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{AckWait: time.Second})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		c.Say(`42["slow"]`)
		c.Say(`42["after"]`)
		for i := range 3 {
			again := ""
			if i > 0 {
				again = fmt.Sprint(" attempt ", i+1)
			}
			ds := m.expect(t, "message / slow[]"+again, "message / after[]"+again)
			time.Sleep(1100 * time.Millisecond)
			m.cancels(t, AckWaitOver, ds[0].ID(), ds[1].ID())
		}
		m.expect(t, "message / after[] attempt 4")
		letters := w.deadLetters.letters
		if len(letters) != 1 || letters[0].Reason != AckWait || letters[0].Attempt != 3 {
			t.Errorf("dead letters: %+v", letters)
		}
	})
}

// A delay of the consumer's own choice takes the place of the growing pause.
func TestNackDelay(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		c.Say(`42["a"]`)
		c.Say(`42["b"]`)
		ds := m.expect(t, "message / a[]", "message / b[]")
		ok(t, m.Nack(ds[0].ID(), 20*time.Second))
		time.Sleep(19 * time.Second)
		m.none(t)
		time.Sleep(time.Second)
		m.expect(t, "message / a[] attempt 2", "message / b[] attempt 2")
	})
}
