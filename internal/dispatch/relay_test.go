package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimit: a subscription takes no more than its limit says, which may change.
func TestLimit(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		s := w.subscribe(SubscriptionOptions{MaxInFlight: 2})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		for i := range 5 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		synctest.Wait()
		first, second := s.get(t), s.get(t)
		s.none(t)
		expect(t, "in flight", s.Limit(1), 2)
		expect(t, "something waits", s.Waiting(), true)
		ok(t, s.Ack(first.ID()))
		s.none(t)
		ok(t, s.Ack(second.ID()))
		s.get(t)
		s.none(t)
		expect(t, "in flight", s.Limit(3), 1)
		s.get(t)
		s.get(t)
		s.none(t)
		expect(t, "something waits", s.Waiting(), false)
		time.Sleep(15 * time.Second) // a limit that is reached is no stall
		ok(t, s.Err())
	})
}

// TestRelayedIsNotStalled: who relays judges by himself whether the consumer reads.
func TestRelayedIsNotStalled(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		s := w.subscribe(SubscriptionOptions{Relayed: true})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		c.Say(`42["n",1]`)
		time.Sleep(time.Minute)
		ok(t, s.Err())
		s.get(t)
	})
}

// TestInterrupt: what was in flight to a consumer that cannot be reached is delivered to
// another, and the interruption is no attempt of a poison.
func TestInterrupt(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 2}, func(w *world) {
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		var s *Subscription
		for i := range 5 {
			s = w.subscribe(SubscriptionOptions{ConsumerID: fmt.Sprint(i)})
			if i == 0 {
				c.Say(`42["n",1]`)
				c.Say(`42["n",2]`)
				synctest.Wait()
			}
			s.get(t)
			s.get(t)
			if i < 4 {
				s.Interrupt()
				if !errors.Is(s.Err(), ErrInterrupted) {
					t.Errorf("it ended with %v", s.Err())
				}
			}
		}
		expect(t, "dead letters", len(w.deadLetters.letters), 0)
	})
}

// TestUnread: a delivery that the consumer has not seen is delivered again, in order, as
// the attempt that it was.
func TestUnread(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		s := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		for i := range 3 {
			c.Say(fmt.Sprintf(`42["n",%d]`, i))
		}
		synctest.Wait()
		first, second := s.get(t), s.get(t)
		s.Unread(second.ID())
		again := s.get(t)
		expect(t, "the second again", again.ID(), second.ID())
		expect(t, "its attempt", again.Attempt, 1)
		s.get(t)
		ok(t, s.Ack(first.ID()))
		s.Unread("none.1")
	})
}

// TestAuthorize: what a group is said to authorise, it does, with nobody there.
func TestAuthorize(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		ok(t, w.Authorize("g", []string{"/", "/a-*"}))
		ok(t, w.Authorize("g", []string{"/b"}))
		ok(t, w.Authorize("h", []string{"*"}))
		all := w.Authorized()
		for _, list := range all {
			slices.Sort(list)
		}
		expect(t, "authorised", fmt.Sprint(all), "map[g:[/ /a-* /b] h:[*]]")
		expect(t, "consumers", len(w.Groups()[0].Subscriptions), 0)
		if w.online("/") {
			t.Error("somebody is there")
		}
	})
}

func (w *world) online(namespace string) bool {
	return slices.ContainsFunc(w.all(), func(g *group) bool { return g.online(namespace) })
}
