package sio

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// panicking is a recorder that panics when it hears something, after it has written it down.
type panicking struct {
	*recorder
	at string
}

func (p panicking) Connecting(ctx context.Context, s *Socket, auth []byte) (Admission, error) {
	a, err := p.recorder.Connecting(ctx, s, auth)
	p.panicAt(s, "Connecting")
	return a, err
}

func (p panicking) Connected(s *Socket) {
	p.recorder.Connected(s)
	p.panicAt(s, "Connected")
}

func (p panicking) Event(s *Socket, e Event) {
	p.recorder.Event(s, e)
	p.panicAt(s, "Event")
}

func (panicking) RecoveryExpired(LostConnection) {}
func (p panicking) Disconnected(s *Socket, end End) {
	p.recorder.Disconnected(s, end)
	p.panicAt(s, "Disconnected")
}

func (p panicking) panicAt(s *Socket, call string) {
	if p.at == call && s.Namespace() == "/panic" {
		panic("a mistake in the backend")
	}
}

// TestPanicOfTheBackend: whatever the backend panics over, the client's session ends, with
// all its connections, and no other; its client may come back, and nothing is left over.
func TestPanicOfTheBackend(t *testing.T) {
	for _, tt := range []struct {
		at   string
		left int // sessions
	}{
		{"Connecting", 2}, // which is no decision, and passes
		{"Connected", 1},
		{"Event", 1},
		{"Disconnected", 1},
	} {
		t.Run(tt.at, func(t *testing.T) {
			inBubble(t, Options{Namespaces: []string{"/", "/panic"}, ConnectTimeout: time.Second}, func(w *world) {
				w.Server.backend = panicking{w.backend, tt.at}
				other, _ := w.connect("")
				c, _ := w.connect("")
				c.Say("40/panic,")
				synctest.Wait()
				c.Say(`42/panic,["e"]`)
				c.Say("41/panic,")
				time.Sleep(5 * time.Second)
				synctest.Wait()

				if n := w.Stats().Panics; n == 0 {
					t.Error("no panic was counted")
				}
				expect(t, "connections", w.Stats().Connections, tt.left)
				expect(t, "sessions", w.Stats().Engine.Sessions["websocket"], tt.left)
				w.clearHeard()
				other.Say(`42["e"]`)
				expect(t, "the other client", w.heardNow(), "event / e [] [] false 0")

				w.Server.backend = w.backend // as if the mistake were mended
				again, _ := w.connect("/panic")
				again.Close()
				other.Close()
				c.Close()
			})
		})
	}
}
