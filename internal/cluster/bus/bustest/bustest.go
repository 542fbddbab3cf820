package bustest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// patience is how long a bus may take for anything: a test that waits for it fails.
const patience = 30 * time.Second

// Join returns the ends of n nodes of a new bus, all of which reach each other. It
// has them closed when the test ends.
type Join func(t *testing.T, n int) []bus.Bus

// Run tests a bus.
func Run(t *testing.T, join Join) {
	tests := []struct {
		name  string
		nodes int
		test  func(t *testing.T, nodes []bus.Bus)
	}{
		{"Order", 3, testOrder},
		{"OneCallAtATime", 2, testOneCallAtATime},
		{"OwnSubscriptions", 1, testOwnSubscriptions},
		{"Wildcard", 2, testWildcard},
		{"EachSubscriptionOnce", 2, testEachSubscriptionOnce},
		{"NoResponders", 2, testNoResponders},
		{"NoRespondersOnceUnsubscribed", 2, testNoRespondersOnceUnsubscribed},
		{"PayloadIsReused", 2, testPayloadIsReused},
		{"Sizes", 2, testSizes},
		{"Subjects", 1, testSubjects},
		{"SlowSubscriber", 2, testSlowSubscriber},
		{"UnsubscribeInHandler", 2, testUnsubscribeInHandler},
		{"Close", 2, testClose},
		{"CloseWaitsForCalls", 2, testCloseWaitsForCalls},
		{"AfterClose", 1, testAfterClose},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, join(t, tt.nodes)) })
	}
}

// markers makes the subjects of settle differ.
var markers atomic.Uint64

// settle returns once from sees what to has subscribed to so far: a bus tells nodes of
// each other's subscriptions in their order.
func settle(t *testing.T, from, to bus.Bus) {
	t.Helper()
	marker := fmt.Sprintf("marker.%d", markers.Add(1))
	seen := make(chan struct{}, 1)
	s := subscribe(t, to, marker, func(bus.Message) {
		select {
		case seen <- struct{}{}:
		default:
		}
	})
	defer unsubscribe(t, s)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	late := time.After(patience)
	for {
		publish(t, from, marker, nil)
		select {
		case <-seen:
			return
		case <-again.C:
		case <-late:
			t.Fatal("a node does not see another's subscription")
		}
	}
}

func subscribe(t *testing.T, b bus.Bus, subject string, f func(bus.Message)) bus.Subscription {
	t.Helper()
	s, err := b.Subscribe(subject, f)
	if err != nil {
		t.Fatalf("Subscribe(%q): %v", subject, err)
	}
	return s
}

func unsubscribe(t *testing.T, s bus.Subscription) {
	t.Helper()
	if err := s.Unsubscribe(); err != nil {
		t.Errorf("Unsubscribe: %v", err)
	}
}

func publish(t *testing.T, b bus.Bus, subject string, payload []byte) {
	t.Helper()
	if err := b.Publish(subject, "", payload); err != nil {
		t.Fatalf("Publish(%q): %v", subject, err)
	}
}

// take receives from a channel, and fails the test if nothing comes.
func take[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing has arrived")
		panic("unreachable")
	}
}

// arrived waits for a value; false: there is none.
func arrived[T any](c <-chan T) bool {
	select {
	case <-c:
		return true
	case <-time.After(patience):
		return false
	}
}

// texts returns a handler, and the channel where it puts "subject payload".
func texts() (func(bus.Message), <-chan string) {
	c := make(chan string, 1000)
	return func(m bus.Message) { c <- m.Subject + " " + string(m.Payload) }, c
}

func want(t *testing.T, c <-chan string, texts ...string) {
	t.Helper()
	for _, w := range texts {
		if got := take(t, c); got != w {
			t.Fatalf("received %q, want %q", got, w)
		}
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
