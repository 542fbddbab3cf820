package dispatch

import (
	"fmt"
	"slices"
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

// However many were in flight, few consumers end until the one event that brings them down
// is buried, nothing else is, and all else is handled a quarter as many at a time.
func TestCulpritAmongMany(t *testing.T) {
	for n, tt := range map[int]struct{ together, least, most int }{
		1:    {1, 10, 10},
		2:    {1, 11, 11},
		15:   {1, 11, 11},
		16:   {4, 12, 12},
		64:   {16, 13, 13},
		1000: {64, 13, 14}, // 13 in one run of 25, by which of them come together
	} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inCrowd(t, n, SubscriptionOptions{ConsumerID: "first", AckWait: time.Hour}, func(c *crowd, s *Subscription) {
				const culprit = "c0"
				c.push()
				handled, ends, together := 0, 0, 0
				for {
					var batch []Delivery
					ending := false
					for d, more, _ := s.Poll(); more; d, more, _ = s.Poll() {
						batch = append(batch, d)
						ending = ending || d.ConnectionID == culprit
					}
					if len(batch) == 0 {
						break
					}
					if ends > 0 {
						together = max(together, len(batch))
					}
					if ending {
						s.Close()
						ends++
						s = c.join(SubscriptionOptions{ConsumerID: fmt.Sprint("after ", ends), AckWait: time.Hour})
						continue
					}
					for _, d := range batch {
						ok(t, s.Ack(d.ID()))
						handled++
					}
				}
				expect(t, "handled", handled, n-1)
				if ends < tt.least || ends > tt.most {
					t.Errorf("%d consumers ended, want %d to %d", ends, tt.least, tt.most)
				}
				if n > 1 {
					expect(t, "suspects together, at most", together, tt.together)
				}
				letters := c.dispatcher.deadLetters.letters
				if len(letters) != 1 || letters[0].Event.ConnectionID != culprit || letters[0].Reason != Crashed {
					t.Errorf("dead letters: %+v", letters)
				}
			})
		})
	}
}

// Suspects come one after the other as earlier ones are settled, beside what is none; one
// that may have few beside it waits until there are as few.
func TestSuspectsBesideOthers(t *testing.T) {
	inCrowd(t, 40, SubscriptionOptions{ConsumerID: "a", AckWait: time.Hour}, func(c *crowd, a *Subscription) {
		c.push()
		for range 40 {
			a.get(t)
		}
		a.Close()
		b := c.join(SubscriptionOptions{ConsumerID: "b", AckWait: time.Hour})
		take := func() (ds []Delivery) {
			for d, more, _ := b.Poll(); more; d, more, _ = b.Poll() {
				ds = append(ds, d)
			}
			return ds
		}
		four := take()
		expect(t, "suspects among 40", len(four), 4)
		b.Close() // with four: these come one at a time, behind the others
		b = c.join(SubscriptionOptions{ConsumerID: "c", AckWait: time.Hour})
		alone := map[string]bool{}
		for _, d := range four {
			alone[d.ID()] = true
		}
		flying := take()
		for left := 36; left > 0; left-- {
			expect(t, "in flight", len(flying), min(4, left))
			for _, d := range flying {
				expect(t, "was among four", alone[d.ID()], false)
			}
			ok(t, b.Ack(flying[0].ID()))
			flying = append(flying[1:], take()...)
			if left == 1 {
				break
			}
		}
		c.sequence++
		e := &Event{Kind: Message, Namespace: "/", ConnectionID: "another", Sequence: 1}
		e.measure()
		expect(t, "offer", c.dispatcher.groups["g"].offer(nil, e, false), accepted)
		flying = append(flying, take()...)
		expect(t, "in flight, with one that is no suspect", len(flying), 2)
		for range 3 {
			i := slices.IndexFunc(flying, func(d Delivery) bool { return alone[d.ID()] })
			ok(t, b.Ack(flying[i].ID()))
			flying = append(slices.Delete(flying, i, i+1), take()...)
			expect(t, "in flight", len(flying), 2)
		}
	})
}
