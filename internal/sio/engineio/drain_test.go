package engineio

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// openMany opens sessions over WebSocket that answer pings until the end.
func (w *world) openMany(n int) (all []*heard, links []*wiretest.WS) {
	for range n {
		c := w.dial("EIO=4&transport=websocket")
		links = append(links, c)
		all = append(all, w.last())
	}
	return all, links
}

// TestDrain: sessions are closed at an even rate, and nobody else is let in meanwhile; a
// polling session hears of its end as a WebSocket does.
func TestDrain(t *testing.T) {
	const sessions = 100
	inBubble(t, Options{}, func(w *world) {
		all, links := w.openMany(sessions - 1)
		for _, c := range links {
			defer c.Close()
			c.Idle()
		}
		query, polling := w.open()
		all = append(all, polling)
		poll := w.poll(query)
		synctest.Wait()

		drained := make(chan error, 1)
		go func() { drained <- w.server.Drain(context.Background(), 10*time.Second) }()
		for second := range 10 {
			time.Sleep(time.Second)
			synctest.Wait()
			// The first is closed at once.
			if got, want := w.server.Drained(), (second+1)*sessions/10; got < want || got > want+1 {
				t.Errorf("%d sessions are closed after %d s, want %d", got, second+1, want)
			}
			if second < 9 {
				r := w.do("GET", fresh, "")
				expect(t, "status of a new session", r.status, http.StatusServiceUnavailable)
				if r.header.Get("Retry-After") == "" {
					t.Error("it is not told when to come again")
				}
				expect(t, "sessions opened", len(w.sessions), sessions)
			}
		}
		if err := <-drained; err != nil {
			t.Errorf("Drain: %v", err)
		}
		synctest.Wait()
		expect(t, "open sessions", w.server.Open(), 0)
		for _, h := range all {
			expect(t, "reason", h.closedWith(), ReasonShutdown)
		}
		expect(t, "the poll's answer", (<-poll).body, "1")
	})
}

// TestDrainAtOnce: without a time, all are closed at once.
func TestDrainAtOnce(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		_, links := w.openMany(50)
		for _, c := range links {
			defer c.Close()
			c.Idle()
		}
		start := time.Now()
		if err := w.server.Drain(context.Background(), 0); err != nil {
			t.Errorf("Drain: %v", err)
		}
		expect(t, "time that it took", time.Since(start), 0)
		expect(t, "open sessions", w.server.Open(), 0)
	})
}

// TestDrainEnds: a drain whose context ends closes nothing more.
func TestDrainEnds(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		_, links := w.openMany(10)
		for _, c := range links {
			defer c.Close()
			c.Idle()
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(4500*time.Millisecond, func() { cancel(enough) })
		if err := w.server.Drain(ctx, 10*time.Second); !errors.Is(err, enough) {
			t.Errorf("Drain: %v, want %v", err, enough)
		}
		expect(t, "open sessions", w.server.Open(), 5)
	})
}

// TestDrainPassesEnded: sessions that end by themselves take none of the time.
func TestDrainPassesEnded(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		_, links := w.openMany(10)
		for i, c := range links {
			defer c.Close()
			if i < 5 {
				c.Idle()
			}
		}
		start := time.Now()
		time.AfterFunc(100*time.Millisecond, func() {
			for _, c := range links[5:] {
				c.Close()
			}
		})
		if err := w.server.Drain(context.Background(), 10*time.Second); err != nil {
			t.Errorf("Drain: %v", err)
		}
		// One second for each, and one for a session that ended when its turn had come.
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("closing the other half took %v, want half of the time, about", took)
		}
		expect(t, "open sessions", w.server.Open(), 0)
	})
}

// TestCloseOldest closes those that were opened first, and lets new ones in.
func TestCloseOldest(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		all, links := w.openMany(10)
		for _, c := range links[4:] {
			defer c.Close()
			c.Idle()
		}
		for _, c := range links[:4] {
			go c.MustClose(1001, string(ReasonRebalance))
		}
		start := time.Now()
		expect(t, "closed", w.server.CloseOldest(context.Background(), 4, 4*time.Second), 4)
		expect(t, "time that it took", time.Since(start), 3*time.Second) // the first is closed at once
		synctest.Wait()
		for i, h := range all {
			want := Reason("")
			if i < 4 {
				want = ReasonRebalance
			}
			expect(t, "reason", h.closedWith(), want)
		}
		expect(t, "status of a new session", w.do("GET", fresh, "").status, http.StatusOK)
		expect(t, "closed of more than there are", w.server.CloseOldest(context.Background(), 100, 0), 7)
		expect(t, "drained", w.server.Drained(), 0)
	})
}
