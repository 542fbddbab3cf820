package dispatch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// bury has the group give up an event of c's, and returns its dead letter.
func (w *world) bury(c interface{ Say(string) }, s *Subscription, event string) DeadLetter {
	w.t.Helper()
	c.Say(event)
	ok(w.t, s.Nack(s.get(w.t).ID(), 0))
	page, _ := w.DeadLetters(DeadLetterFilter{}, "", 1000)
	if len(page) == 0 {
		w.t.Fatal("no dead letter")
	}
	return page[len(page)-1]
}

func (w *world) replay(want int, ids ...string) {
	w.t.Helper()
	n, err := w.ReplayDeadLetters(DeadLetterFilter{Group: "g", IDs: ids})
	ok(w.t, err)
	expect(w.t, "replayed", n, want)
}

// letters shows the dead letters there are.
func (w *world) letters() string {
	page, _ := w.DeadLetters(DeadLetterFilter{}, "", 1000)
	s := ""
	for _, l := range page {
		s += fmt.Sprintf("%s %s after %d %t;", l.Event.Name, l.Reason, l.Attempt, l.Replaying)
	}
	return s
}

// A dead letter comes again behind what waits, as a new delivery without a reply, once at a
// time, and stays one until it is acknowledged.
func TestReplay(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 1}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		defer c.Close()
		l := w.bury(c, m, `427["dead"]`)
		c.Say(`42["waits"]`)
		synctest.Wait()
		w.replay(1)
		w.replay(0) // it is on its way
		w.replay(0, "none")
		c.Say(`42["after"]`)
		ds := m.expect(t, "message / waits[]", "message / dead[]", "message / after[]")
		d := ds[1]
		expect(t, "attempt", d.Attempt, 1)
		expect(t, "replayed", d.Replayed(), true)
		expect(t, "reply expected", d.ReplyExpected, false)
		expect(t, "the event", d.Sequence, l.Event.Sequence)
		if d.ID() == l.Event.ID() {
			t.Error("the same delivery id")
		}
		expect(t, "a reply", w.Reply(d.ID(), nil, []byte("[]"), nil), ErrNoReply)
		expect(t, "the first delivery", m.Ack(l.Event.ID()), ErrNotInFlight)
		expect(t, "letters", w.letters(), "dead nacked after 1 true;")
		ok(t, m.Ack(d.ID())) // out of order
		expect(t, "letters", w.letters(), "")
		ok(t, m.Ack(ds[0].ID()))
		ok(t, m.Ack(ds[2].ID()))
		m.none(t)
		expect(t, "replayed", w.Stats().DeadLettersReplayed, 1)
		expect(t, "bytes", w.deadLetters.bytes, 0)
	})
}

// One that fails again is the same dead letter, and can be replayed once more under
// another id.
func TestReplayFails(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 2}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{ConsumerID: "a", AckWait: time.Second})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		c.Say(`42["dead"]`)
		ok(t, m.BuryTooLarge(m.get(t).ID()))
		expect(t, "letters", w.letters(), "dead too large after 1 false;")
		w.replay(1)
		first := m.get(t)
		time.Sleep(1100 * time.Millisecond)
		m.cancels(t, AckWaitOver, first.ID())
		expect(t, "the same delivery", m.get(t).ID(), first.ID())
		time.Sleep(1100 * time.Millisecond)
		m.cancels(t, AckWaitOver, first.ID())
		expect(t, "letters", w.letters(), "dead ack wait after 2 false;")
		w.replay(1)
		second := m.get(t)
		if first.ID() == second.ID() {
			t.Error("the same delivery id")
		}
		ok(t, m.Ack(second.ID()))
		expect(t, "letters", w.letters(), "")
		expect(t, "counted", w.Stats().DeadLetters, 1)
	})
}

// What is deleted on its way is delivered and forgotten, however that ends.
func TestDeleteOnItsWay(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 1}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		defer c.Close()
		for _, settle := range []func(id string) error{m.Ack, func(id string) error { return m.Nack(id, 0) }} {
			w.bury(c, m, `42["dead"]`)
			w.replay(1)
			d := m.get(t)
			expect(t, "deleted", w.DeleteDeadLetters(DeadLetterFilter{Group: "g"}), 1)
			ok(t, settle(d.ID()))
			expect(t, "letters", w.letters(), "")
		}
		expect(t, "dropped", w.Stats().Dropped, 1) // the one that failed again
	})
}

// One whose connection is gone goes to any member, and leaves nothing behind; so does
// one that nobody asks for any more, which is a dead letter again.
func TestReplayForAConnectionThatIsGone(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 1}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{ConsumerID: "a"})
		c, _ := w.connect("")
		w.bury(c, m, `42["dead"]`)
		c.Close()
		synctest.Wait()
		m.Close()
		other := w.subscribe(SubscriptionOptions{ConsumerID: "b", Events: []string{"other"}})
		time.Sleep(2 * time.Minute) // what a asked for is forgotten
		w.replay(0)
		b := w.subscribe(SubscriptionOptions{ConsumerID: "c", Events: []string{"dead"}})
		w.replay(1)
		b.Close() // it settled nothing: what it asked for is not kept
		expect(t, "letters", w.letters(), "dead nacked after 1 false;")
		b = w.subscribe(SubscriptionOptions{ConsumerID: "c", Events: []string{"dead"}})
		w.replay(1)
		ok(t, b.Ack(b.get(t).ID()))
		other.none(t)
		expect(t, "letters", w.letters(), "")
		expect(t, "queues left", len(w.groups["g"].queues), 0)
	})
}

// Replays count against the bounds of the queue that they enter.
func TestReplayIsBounded(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 1, QueueBytes: 1000}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		c, _ := w.connect("")
		defer c.Close()
		c.Idle()
		for range 10 {
			w.bury(c, m, `42["dead"]`)
		}
		w.replay(3)
		_, err := w.ReplayDeadLetters(DeadLetterFilter{Group: "g"})
		expect(t, "without room", err, ErrNoRoom)
		for range 3 {
			ok(t, m.Ack(m.get(t).ID()))
		}
		w.replay(3)
		other, _ := w.connect("")
		defer other.Close()
		other.Idle()
		other.Say(`42["other"]`)
		synctest.Wait()
		for range 3 {
			m.get(t)
		}
		ok(t, m.Nack(m.get(t).ID(), 0))
		w.replay(1) // for this connection there is room
	})
}

// recovering has an authorising consumer with a dead letter of a browser that was cut
// off, and the question about that browser's return in flight to it.
func (w *world) recovering() (m *Subscription, question Delivery) {
	w.t.Helper()
	m = w.subscribe(SubscriptionOptions{Authorize: true})
	open := func(auth string) *wiretest.WS {
		c := w.listener.MustDialWS(w.t, "EIO=4&transport=websocket")
		c.Next()
		c.Say("40" + auth)
		return c
	}
	c := open("")
	ok(w.t, m.Verdict(m.get(w.t).ID(), Verdict{Allow: true}))
	var admitted struct{ PID string }
	ok(w.t, json.Unmarshal([]byte(strings.TrimPrefix(c.Next(), "40")), &admitted))
	w.bury(c, m, `42["dead"]`)
	c.Close()
	synctest.Wait()
	back := open(`{"pid":"` + admitted.PID + `"}`)
	w.t.Cleanup(func() { back.Close() })
	question = m.get(w.t)
	expect(w.t, "the question's kind", question.Kind, Connecting)
	return m, question
}

// A question is cancelled when its time is over, also with a dead letter behind it,
// which is delivered and settled whatever becomes of the question.
func TestCancelConnectingBeforeAReplay(t *testing.T) {
	for _, settled := range []bool{false, true} { // the dead letter, before the question
		t.Run(fmt.Sprint(settled), func(t *testing.T) {
			inBubble(t, Options{MaxAttempts: 1}, func(w *world) {
				m, question := w.recovering()
				w.replay(1)
				d := m.expect(t, "message / dead[]")[0]
				if settled {
					ok(t, m.Ack(d.ID()))
				}
				time.Sleep(6 * time.Second) // longer than the verdict timeout
				m.cancels(t, ClientLeft, question.ID())
				if !settled {
					ok(t, m.Ack(d.ID()))
				}
				expect(t, "letters", w.letters(), "")
				expect(t, "queues left", len(w.groups["g"].queues), 0)
				counts := w.Stats().Groups["g"]
				expect(t, "waiting", counts.Waiting, 0)
				expect(t, "in flight", counts.InFlight, 0)
			})
		})
	}
}

// So is one that its consumer's messages cannot hold, and not what stands behind it.
func TestTooLargeConnectingBeforeAReplay(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 1}, func(w *world) {
		m, question := w.recovering()
		w.replay(1)
		ok(t, m.BuryTooLarge(question.ID()))
		m.cancels(t, ClientLeft, question.ID())
		ok(t, m.Ack(m.expect(t, "message / dead[]")[0].ID()))
		expect(t, "letters", w.letters(), "")
	})
}

// A consumer that is told which connections it owns is told of one that came back before a
// replayed dead letter of it comes, also where that reaches the consumer first.
func TestReplayOfOwnedConnection(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 1}, func(w *world) {
		m := w.subscribe(SubscriptionOptions{})
		open := func(auth string) (c *wiretest.WS, admitted struct{ SID, PID string }) {
			c = w.listener.MustDialWS(t, "EIO=4&transport=websocket")
			c.Next()
			c.Say("40" + auth)
			ok(t, json.Unmarshal([]byte(strings.TrimPrefix(c.Next(), "40")), &admitted))
			return c, admitted
		}
		c, first := open("")
		w.bury(c, m, `42["dead"]`)
		c.Close()
		m.Close()
		for range 3 * tellPiece { // looked at first
			other, _ := w.connect("/chat")
			defer other.Close()
		}
		c, back := open(`{"pid":"` + first.PID + `"}`)
		defer c.Close()
		expect(t, "it came back as", back.SID, first.SID)
		synctest.Wait()
		k := w.keeper(SubscriptionOptions{ConsumerID: "k", Namespaces: []string{"/"}})
		w.replay(1)
		k.expect("+"+first.SID, "message / dead[]")
	})
}
