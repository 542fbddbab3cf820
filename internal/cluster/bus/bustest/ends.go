package bustest

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// testSlowSubscriber: a handler that hangs loses what exceeds the bound, counted, and
// in order what does not; another of the same node goes on.
func testSlowSubscriber(t *testing.T, nodes []bus.Bus) {
	const messages = bus.MaxPending/bus.MaxPayload + 16
	release := make(chan struct{})
	slow, other := make(chan uint32, messages), make(chan uint32, messages)
	subscribe(t, nodes[0], "slow.*", func(m bus.Message) {
		<-release
		slow <- binary.BigEndian.Uint32(m.Payload)
	})
	subscribe(t, nodes[0], "slow.a", func(m bus.Message) { other <- binary.BigEndian.Uint32(m.Payload) })
	settle(t, nodes[1], nodes[0])
	payload := make([]byte, bus.MaxPayload)
	for n := range uint32(messages) {
		binary.BigEndian.PutUint32(payload, n)
		publish(t, nodes[1], "slow.a", payload)
		if got := take(t, other); got != n { // one at a time, so that nothing is lost on the way
			t.Fatalf("the other subscription: received %d, want %d", got, n)
		}
	}
	dropped := nodes[0].Dropped()
	if dropped == 0 || dropped >= messages {
		t.Errorf("dropped %d of %d", dropped, messages)
	}
	close(release)
	last := -1
	for range messages - int(dropped) {
		n := int(take(t, slow))
		if n <= last {
			t.Fatalf("received %d after %d", n, last)
		}
		last = n
	}
	binary.BigEndian.PutUint32(payload, messages)
	publish(t, nodes[1], "slow.a", payload)
	if got := take(t, slow); got != messages {
		t.Errorf("received %d, which was counted as dropped", got)
	}
	if got := nodes[1].Dropped(); got != 0 {
		t.Errorf("the sender dropped %d", got)
	}
}

// testUnsubscribeInHandler: a handler may end its own subscription, and is not called again.
func testUnsubscribeInHandler(t *testing.T, nodes []bus.Bus) {
	subscription := make(chan bus.Subscription, 1)
	var calls atomic.Int32
	called := make(chan struct{}, 3)
	handler, got := texts()
	subscription <- subscribe(t, nodes[0], "once", func(bus.Message) {
		calls.Add(1)
		s := <-subscription
		unsubscribe(t, s)
		unsubscribe(t, s)
		subscription <- s
		called <- struct{}{}
	})
	subscribe(t, nodes[0], "once", handler)
	settle(t, nodes[1], nodes[0])
	for _, text := range []string{"1", "2", "3"} {
		publish(t, nodes[1], "once", []byte(text))
	}
	want(t, got, "once 1", "once 2", "once 3")
	take(t, called)
	settle(t, nodes[1], nodes[0]) // time for a second call, which is an error
	if n := calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// testClose: while messages flow, Close ends the calls for good.
func testClose(t *testing.T, nodes []bus.Bus) {
	var closed atomic.Bool
	called := make(chan struct{}, 1)
	for range 3 {
		subscribe(t, nodes[0], "closing", func(bus.Message) {
			if closed.Load() {
				t.Error("called after Close")
			}
			select {
			case called <- struct{}{}:
			default:
			}
		})
	}
	settle(t, nodes[1], nodes[0])
	for range 1000 {
		publish(t, nodes[1], "closing", []byte("x"))
	}
	take(t, called)
	if err := nodes[0].Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	closed.Store(true)
	for range 1000 {
		publish(t, nodes[1], "closing", []byte("x"))
	}
	handler, got := texts()
	subscribe(t, nodes[1], "closing", handler)
	publish(t, nodes[1], "closing", []byte("the others go on"))
	want(t, got, "closing the others go on")
}

// testCloseWaitsForCalls: when Close returns, no handler is under way.
func testCloseWaitsForCalls(t *testing.T, nodes []bus.Bus) {
	entered, release := make(chan struct{}), make(chan struct{})
	var underWay atomic.Bool
	subscribe(t, nodes[0], "waiting", func(bus.Message) {
		underWay.Store(true)
		entered <- struct{}{}
		<-release
		underWay.Store(false)
	})
	settle(t, nodes[1], nodes[0])
	publish(t, nodes[1], "waiting", nil)
	take(t, entered)
	returned := make(chan bool)
	go func() {
		nodes[0].Close()
		returned <- underWay.Load()
	}()
	select {
	case <-returned:
		t.Fatal("Close returned while a handler was under way")
	case <-time.After(20 * time.Millisecond): // a Close that does not wait is found out mostly, a right one never fails
	}
	close(release)
	if take(t, returned) {
		t.Error("Close returned while a handler was under way")
	}
}

// testAfterClose: a bus that is closed says so.
func testAfterClose(t *testing.T, nodes []bus.Bus) {
	b := nodes[0]
	s := subscribe(t, b, "x", func(bus.Message) {})
	if !b.Connected() {
		t.Error("not connected before Close")
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if b.Connected() {
		t.Error("connected after Close")
	}
	wantError(t, "Publish", b.Publish("x", "", nil), bus.ErrClosed)
	_, err := b.Subscribe("x", func(bus.Message) {})
	wantError(t, "Subscribe", err, bus.ErrClosed)
	unsubscribe(t, s)
}
