package engineio

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

// begin sends the beginning of an HTTP request over a connection of its own,
// whose answer nobody reads.
func (w *world) begin(request string) net.Conn {
	w.t.Helper()
	c, err := w.listener.Dial(context.Background(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := c.Write([]byte(request)); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	return c
}

// stall opens a session whose poll is stuck: its answer is large, and not read.
func (w *world) stall() (query string, h *heard, poll net.Conn) {
	w.t.Helper()
	query, h = w.open()
	h.session.Send(Text([]byte(strings.Repeat("x", 1<<20))))
	return query, h, w.begin("GET /socket.io/?" + query + " HTTP/1.1\r\nHost: server\r\n\r\n")
}

// A poll whose answer is not read holds up no close for longer than the bounds
// of a close, also while a WebSocket waits to take the outbox over from it.
func TestCloseWithStalledPoll(t *testing.T) {
	const patience = 300 * time.Millisecond // of Shutdown's context, where it has an end
	tests := []struct {
		name    string
		upgrade bool
		end     func(w *world, h *heard)
		within  time.Duration
	}{
		{"close, polling", false, func(_ *world, h *heard) { h.session.Close(ReasonSlowConsumer) }, closeWait},
		{"close, upgraded", true, func(_ *world, h *heard) { h.session.Close(ReasonSlowConsumer) }, closeWait},
		{"disconnect, upgraded", true, func(_ *world, h *heard) { h.session.Close(ReasonForcedServer) }, closeWait},
		{"shutdown, polling", false, func(w *world, _ *heard) { w.server.Shutdown(context.Background()) }, shutdownWait},
		{"shutdown, upgraded", true, func(w *world, _ *heard) { w.server.Shutdown(context.Background()) }, shutdownWait},
		{"shutdown with an end, polling", false, func(w *world, _ *heard) { w.shutdownWithin(patience) }, patience},
		{"shutdown with an end, upgraded", true, func(w *world, _ *heard) { w.shutdownWithin(patience) }, patience},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				q, h, stalled := w.stall()
				defer stalled.Close()
				if tt.upgrade {
					c := w.dial(strings.Replace(q, "polling", "websocket", 1))
					defer c.Close()
					c.Say("2probe")
					expect(t, "answer to the probe", c.Next(), "3probe")
					c.Say("5")
					synctest.Wait()
					expect(t, "transport", h.session.Transport(), transportWebSocket)
				}
				start := time.Now()
				tt.end(w, h)
				if took := time.Since(start); took > tt.within {
					t.Errorf("took %v, want %v", took, tt.within)
				}
				time.Sleep(tt.within - time.Since(start))
				synctest.Wait()
				expect(t, "sessions", len(w.server.all()), 0)
				expect(t, "polls", w.requests(), 0)
			})
		})
	}
}

func (w *world) shutdownWithin(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		w.t.Error(err)
	}
}

// The body of a POST is awaited no longer than its session's close allows.
func TestCloseWithHalfPost(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		c := w.begin("POST /socket.io/?" + q + " HTTP/1.1\r\nHost: server\r\nContent-Length: 100\r\n\r\n4")
		defer c.Close()
		expect(t, "requests", w.requests(), 1)
		h.session.Close(ReasonPingTimeout)
		time.Sleep(closeWait)
		synctest.Wait()
		expect(t, "requests", w.requests(), 0)
	})
}

// A second Shutdown whose context is done ends what the first still waits for.
func TestShutdownTwice(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		frozen := w.dial(freshWS)
		defer frozen.Close()
		frozen.Next()
		start := time.Now()
		first := make(chan struct{})
		go func() {
			defer close(first)
			w.server.Shutdown(context.Background())
		}()
		synctest.Wait()
		w.shutdownWithin(0)
		<-first
		expect(t, "after", time.Since(start), 0)
		expect(t, "sessions", len(w.server.all()), 0)
	})
}

// Who goes on sending after the end, and does not read it, is read no further than what may have
// been under way.
func TestCloseWhileItIsFlooded(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		c := w.dial(freshWS)
		defer c.Close()
		c.Next()
		w.last().session.Close(ReasonForcedServer)
		flood := []byte("4" + strings.Repeat("x", 64<<10))
		taken := 0
		for ; taken <= 2*maxLate; taken += len(flood) {
			if c.WriteMessage(websocket.TextMessage, flood) != nil {
				break
			}
		}
		if taken < maxLate/2 || taken > 2*maxLate {
			t.Errorf("%d bytes were taken, want about %d", taken, maxLate)
		}
	})
}
