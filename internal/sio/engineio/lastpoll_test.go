package engineio

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The stock client closes at a close packet and only then hands out what stood
// before it in the payload, to nobody: events go first, the close packet with the
// next poll.
func TestClosePacketComesAlone(t *testing.T) {
	ends := map[string]func(w *world, h *heard){
		"disconnect": func(_ *world, h *heard) { h.session.Close(ReasonForcedServer) },
		"shutdown":   func(w *world, _ *heard) { go w.server.Shutdown(context.Background()) },
	}
	for name, end := range ends {
		t.Run(name+", no poll waits", func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				q, h := w.open()
				h.session.Send(Text([]byte("a")))
				h.session.Send(Text([]byte("b")))
				end(w, h)
				synctest.Wait()
				expect(t, "first poll", w.do("GET", q, "").body, payload("4a", "4b"))
				expect(t, "second poll", w.do("GET", q, "").body, "1")
				synctest.Wait()
				expect(t, "third poll", w.do("GET", q, "").status, 400)
			})
		})
		t.Run(name+", a poll waits", func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				q, h := w.open()
				p := w.poll(q)
				synctest.Wait()
				h.session.Send(Text([]byte("a")))
				end(w, h)
				expect(t, "first poll", (<-p).body, "4a")
				expect(t, "second poll", w.do("GET", q, "").body, "1")
			})
		})
		t.Run(name+", nothing to say", func(t *testing.T) {
			inBubble(t, Options{}, func(w *world) {
				q, h := w.open()
				p := w.poll(q)
				synctest.Wait()
				end(w, h)
				expect(t, "poll", (<-p).body, "1")
				synctest.Wait()
				expect(t, "sessions", len(w.server.all()), 0)
			})
		})
	}
}

// A shutdown waits no longer for the poll after the last events than for any other.
func TestShutdownAfterEvents(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, h := w.open()
		p := w.poll(q)
		synctest.Wait()
		h.session.Send(Text([]byte("a")))
		start := time.Now()
		w.server.Shutdown(context.Background())
		expect(t, "poll", (<-p).body, "4a")
		if took := time.Since(start); took > shutdownWait {
			t.Errorf("took %v, want %v", took, shutdownWait)
		}
	})
}
