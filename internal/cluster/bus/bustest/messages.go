package bustest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// testOrder: from each of two senders to each of two subjects, messages arrive in the
// order sent. A window keeps all of them within what may be pending.
func testOrder(t *testing.T, nodes []bus.Bus) {
	const messages, window = 2000, 100
	receiver, senders := nodes[0], nodes[1:]
	last := map[string]int{} // by sender and subject; the handler's
	var failed atomic.Bool
	subscribe(t, receiver, "order.*", func(m bus.Message) {
		var sender, n int
		if _, err := fmt.Sscan(string(m.Payload), &sender, &n); err != nil {
			failed.Store(true)
			t.Errorf("received %q: %v", m.Payload, err)
		}
		key := fmt.Sprint(sender, " ", m.Subject)
		if n != last[key]+1 && !failed.Swap(true) {
			t.Errorf("sender %d, %s: %d after %d", sender, m.Subject, n, last[key])
		}
		last[key] = n
		if n%window == 0 {
			if err := receiver.Publish(fmt.Sprintf("taken.%d.%s", sender, m.Subject[len("order."):]), "", nil); err != nil {
				t.Error(err)
			}
		}
	})
	taken := make([]chan string, len(senders))
	for i, s := range senders {
		taken[i] = make(chan string, 2*messages)
		subscribe(t, s, fmt.Sprintf("taken.%d.*", i), func(m bus.Message) { taken[i] <- m.Subject })
		settle(t, receiver, s)
		settle(t, s, receiver)
	}
	var running sync.WaitGroup
	for i, s := range senders {
		running.Go(func() {
			for n := 1; n <= messages; n++ {
				for _, subject := range []string{"order.a", "order.b"} {
					if err := s.Publish(subject, "", fmt.Append(nil, i, " ", n)); err != nil {
						t.Error(err)
					}
				}
				if n%window == 0 {
					for range 2 {
						if !arrived(taken[i]) {
							t.Errorf("sender %d: of messages up to %d some were lost", i, n)
							return
						}
					}
				}
			}
		})
	}
	running.Wait()
}

// testOneCallAtATime: a subscription's handler is called for one message at a time.
func testOneCallAtATime(t *testing.T, nodes []bus.Bus) {
	const messages = 200
	var calls atomic.Int32
	done := make(chan struct{}, messages)
	subscribe(t, nodes[0], "one", func(bus.Message) {
		if n := calls.Add(1); n != 1 {
			t.Errorf("%d calls at once", n)
		}
		calls.Add(-1)
		done <- struct{}{}
	})
	settle(t, nodes[1], nodes[0])
	for range messages / 2 {
		publish(t, nodes[0], "one", nil)
		publish(t, nodes[1], "one", nil)
	}
	for range messages {
		take(t, done)
	}
}

// testOwnSubscriptions: a sender receives what it sends, if it subscribes.
func testOwnSubscriptions(t *testing.T, nodes []bus.Bus) {
	handler, got := texts()
	subscribe(t, nodes[0], "own.*", handler)
	publish(t, nodes[0], "own.a", []byte("1"))
	publish(t, nodes[0], "own.a", []byte("2"))
	want(t, got, "own.a 1", "own.a 2")
}

// testWildcard: `*` is one whole token, whichever it is.
func testWildcard(t *testing.T, nodes []bus.Bus) {
	handler, got := texts()
	subscribe(t, nodes[0], "w.*.x", handler)
	settle(t, nodes[1], nodes[0])
	for _, subject := range []string{"w.1.x", "w.2.y", "w.x", "w.1.2.x", "w.1.x.2", "v.1.x", "w.two.x"} {
		publish(t, nodes[1], subject, nil)
	}
	want(t, got, "w.1.x ", "w.two.x ")
}

// testEachSubscriptionOnce: of two subscriptions of a node that match, each gets a
// message once.
func testEachSubscriptionOnce(t *testing.T, nodes []bus.Bus) {
	handlerA, gotA := texts()
	handlerB, gotB := texts()
	subscribe(t, nodes[0], "each.*", handlerA)
	subscribe(t, nodes[0], "each.1", handlerB)
	settle(t, nodes[1], nodes[0])
	for _, text := range []string{"x", "y"} {
		publish(t, nodes[1], "each.1", []byte(text))
	}
	want(t, gotA, "each.1 x", "each.1 y")
	want(t, gotB, "each.1 x", "each.1 y")
}

// testNoResponders: who publishes what nobody subscribes to is told, if it gave a
// reply, by its own subscriptions to that.
func testNoResponders(t *testing.T, nodes []bus.Bus) {
	for _, pattern := range []string{"reply.exact", "reply.*"} {
		notices := make(chan bus.Message, 10)
		s := subscribe(t, nodes[0], pattern, func(m bus.Message) {
			m.Payload = bytes.Clone(m.Payload)
			notices <- m
		})
		settle(t, nodes[0], nodes[1])
		publish(t, nodes[0], "nobody", nil) // asks for no notice
		if err := nodes[0].Publish("nobody", "reply.exact", []byte("x")); err != nil {
			t.Fatal(err)
		}
		publish(t, nodes[0], "reply.exact", []byte("no notice"))
		if m := take(t, notices); !m.NoResponders || m.Subject != "reply.exact" || len(m.Payload) != 0 {
			t.Errorf("%s: received %+v, want the notice", pattern, m)
		}
		if m := take(t, notices); m.NoResponders || string(m.Payload) != "no notice" {
			t.Errorf("%s: received %+v, want a message and one notice only", pattern, m)
		}
		unsubscribe(t, s)
	}
}

// testNoRespondersOnceUnsubscribed: there is no notice while somebody on another node
// subscribes, and there is one afterwards.
func testNoRespondersOnceUnsubscribed(t *testing.T, nodes []bus.Bus) {
	handler, got := texts()
	s := subscribe(t, nodes[1], "somebody", handler)
	settle(t, nodes[0], nodes[1])
	notices := make(chan bool, 1000)
	subscribe(t, nodes[0], "reply", func(m bus.Message) { notices <- m.NoResponders })
	if err := nodes[0].Publish("somebody", "reply", []byte("x")); err != nil {
		t.Fatal(err)
	}
	want(t, got, "somebody x")
	publish(t, nodes[0], "reply", nil)
	if take(t, notices) {
		t.Error("told that nobody subscribes, and somebody does")
	}
	unsubscribe(t, s)
	settle(t, nodes[0], nodes[1])
	if err := nodes[0].Publish("somebody", "reply", nil); err != nil {
		t.Fatal(err)
	}
	if !take(t, notices) {
		t.Error("not told that nobody subscribes any more")
	}
}

// testPayloadIsReused: what a sender does to its buffer afterwards changes nothing.
func testPayloadIsReused(t *testing.T, nodes []bus.Bus) {
	handler, got := texts()
	subscribe(t, nodes[0], "reused", handler)
	subscribe(t, nodes[1], "reused", handler)
	settle(t, nodes[1], nodes[0])
	payload := make([]byte, 1)
	for i := range 10 {
		payload[0] = byte('a' + i)
		publish(t, nodes[1], "reused", payload)
	}
	clear(payload)
	counts := map[string]int{}
	for range 20 {
		counts[take(t, got)]++
	}
	for i := range 10 {
		if text := "reused " + string(rune('a'+i)); counts[text] != 2 {
			t.Errorf("received %q %d times, want 2", text, counts[text])
		}
	}
}

// testSizes: payloads up to MaxPayload arrive whole, longer ones are refused.
func testSizes(t *testing.T, nodes []bus.Bus) {
	got := make(chan []byte, 10)
	subscribe(t, nodes[0], "sizes", func(m bus.Message) { got <- bytes.Clone(m.Payload) })
	settle(t, nodes[1], nodes[0])
	for _, size := range []int{0, 1, 1000, 64 << 10, bus.MaxPayload} {
		payload := []byte(strings.Repeat("0123456789abcdef!", size/17+1))[:size]
		publish(t, nodes[1], "sizes", payload)
		if got := take(t, got); !bytes.Equal(got, payload) {
			t.Errorf("of %d bytes %d arrived, or others", size, len(got))
		}
	}
	wantError(t, "one byte too many", nodes[1].Publish("sizes", "", make([]byte, bus.MaxPayload+1)), bus.ErrTooLarge)
}

// testSubjects: what is no subject is refused, by name.
func testSubjects(t *testing.T, nodes []bus.Bus) {
	for _, subject := range []string{"", "a.", ".a", "a..b", "a b", "a.>", "a.b*"} {
		wantError(t, "Publish to "+subject, nodes[0].Publish(subject, "", nil), bus.ErrSubject)
		_, err := nodes[0].Subscribe(subject, func(bus.Message) {})
		wantError(t, "Subscribe to "+subject, err, bus.ErrSubject)
	}
	wantError(t, "Publish to a wildcard", nodes[0].Publish("a.*", "", nil), bus.ErrSubject)
	wantError(t, "Publish with a wildcard as reply", nodes[0].Publish("a", "b.*", nil), bus.ErrSubject)
}
