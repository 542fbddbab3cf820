package backend

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A handler may take longer than the AckWait that was asked for, however short.
func TestAckWait(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		stop := w.start(counter(client, ConsumerOptions{AckWait: 2 * time.Second}, func(_ context.Context, e *Event) {
			time.Sleep(20 * time.Second)
			heard.add(fmt.Sprint(e.Args.JSON(), e.Attempt))
		}))
		expect(t, "the daemon's", w.dispatcher.Groups()[0].Subscriptions[0].AckWait, 2*time.Second)
		b, _ := w.connect()
		b.Idle()
		b.Say(`42["n",1]`)
		time.Sleep(time.Minute)
		expect(t, "heard", heard.take(), "[1]1")
		b.Close()
		stop()
	})
}

// What is larger than MaxMessageBytes becomes a dead letter, and what follows comes.
func TestMaxMessageBytes(t *testing.T) {
	inBubble(t, func(w *world) {
		client := w.dial()
		defer client.Close()
		var heard notes
		stop := w.start(counter(client, ConsumerOptions{MaxMessageBytes: 64 << 10}, func(_ context.Context, e *Event) {
			heard.add(fmt.Sprint(len(e.Args.JSON())))
		}))
		b, _ := w.connect()
		b.Idle()
		for _, size := range []int{70_000, 50_000} {
			b.Say(`42["n","` + strings.Repeat("x", size) + `"]`)
		}
		expect(t, "heard", heard.take(), "50004")
		expect(t, "dead letters", w.dispatcher.Stats().DeadLetters, 1)
		b.Close()
		stop()
	})
}

// What the daemon does not take of the options ends Run.
func TestOptionsOutOfBounds(t *testing.T) {
	for field, o := range map[string]ConsumerOptions{
		"open.ack_wait":          {Group: "g", AckWait: 1},
		"open.max_message_bytes": {Group: "g", MaxMessageBytes: 1},
	} {
		inBubble(t, func(w *world) {
			client := w.dial()
			defer client.Close()
			stop := w.run(client.Consumer(o))
			if err := stop(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), field) {
				t.Errorf("Run: %v, want INVALID_ARGUMENT for %s", err, field)
			}
		})
	}
}
