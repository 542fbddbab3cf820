package sio

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// TestDisconnectSession: the client is told for every namespace, then the session
// closes, and the backend hears of each end; others stay.
func TestDisconnectSession(t *testing.T) {
	opts := Options{Namespaces: []string{"/", "/chat", "/tenant-*", "/slow"}}
	kick := func(id string) Disconnect {
		return Disconnect{To: to(room.Selector{IDs: []string{id}}), Mode: DisconnectSession, Reason: "banned"}
	}
	t.Run("in several namespaces", func(t *testing.T) {
		inBubble(t, opts, func(w *world) {
			c, id := w.connect("")
			chat := c.Join("/chat")
			c.Join("/tenant-a")
			other, _ := w.connect("")
			theirs := other.Join("/chat")
			expect(t, "one session", w.session("/", id), w.session("/chat", chat))
			if w.session("/chat", chat) == w.session("/chat", theirs) {
				t.Error("two sessions have one name")
			}
			w.clearHeard()
			var details []string
			w.backend.ended = func(s *Socket, e End) { details = append(details, s.Namespace()+" "+e.Detail) }
			expect(t, "ended", w.apply(kick(id)), 3)
			expect(t, "repeated", w.apply(kick(id)), 0)
			for _, want := range []string{"41", "41/chat,", "41/tenant-a,"} {
				expect(t, "packet", c.Next(), want)
			}
			c.MustClose(1000, "forced server close")
			expect(t, "heard", w.heardNow(), "disconnected / server namespace disconnect; disconnected /chat server namespace disconnect; disconnected /tenant-a server namespace disconnect")
			expect(t, "details", len(details), 3)
			for i, namespace := range []string{"/", "/chat", "/tenant-a"} {
				expect(t, "detail", details[i], namespace+" banned")
			}
			expect(t, "connections", w.Stats().Connections, 2)
			other.Close()
		})
	})
	t.Run("while another namespace is not decided on", func(t *testing.T) {
		inBubble(t, opts, func(w *world) {
			w.backend.decide = func(ctx context.Context, s *Socket) (Admission, error) {
				if s.Namespace() == "/slow" {
					<-ctx.Done()
					return Admission{}, context.Cause(ctx)
				}
				return Admission{}, nil
			}
			c, id := w.connect("")
			c.Say("40/slow,")
			synctest.Wait()
			expect(t, "ended", w.apply(kick(id)), 1)
			for _, want := range []string{"41", "41/slow,"} {
				expect(t, "packet", c.Next(), want)
			}
			c.MustClose(1000, "forced server close")
			synctest.Wait()
			expect(t, "connections", w.Stats().Connections, 0)
		})
	})
	t.Run("while a backend holds the client up", func(t *testing.T) {
		inBubble(t, opts, func(w *world) {
			c, id := w.connect("")
			c.Join("/chat")
			c.Say(`42/chat,["block"]`)
			w.clearHeard()
			expect(t, "ended", w.apply(kick(id)), 2)
			for _, want := range []string{"41", "41/chat,"} {
				expect(t, "packet", c.Next(), want)
			}
			c.MustClose(1000, "forced server close")
			expect(t, "heard", w.heardNow(), "event /chat block [] [] false 0; disconnected / server namespace disconnect; disconnected /chat server namespace disconnect")
		})
	})
	t.Run("after it has left and come again", func(t *testing.T) {
		inBubble(t, opts, func(w *world) {
			c, id := w.connect("")
			c.Join("/chat")
			c.Say("41/chat,")
			c.Join("/tenant-a")
			c.Say("41/tenant-a,")
			c.Join("/chat")
			expect(t, "ended", w.apply(kick(id)), 2)
			for _, want := range []string{"41", "41/chat,"} {
				expect(t, "packet", c.Next(), want)
			}
			c.MustClose(1000, "forced server close")
		})
	})
}

// session returns the name of the session under a connection.
func (w *world) session(namespace, id string) string {
	w.t.Helper()
	c, err := w.Connection(context.Background(), namespace, id)
	if err != nil || c.Session == "" {
		w.t.Fatalf("the connection %s of %s: %+v, %v", id, namespace, c, err)
	}
	return c.Session
}
