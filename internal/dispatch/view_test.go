package dispatch

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// TestEventsShowTheirConnection: as it is while it lives, and afterwards as it was,
// without the socket; a dead letter keeps neither.
func TestEventsShowTheirConnection(t *testing.T) {
	inBubble(t, Options{MaxAttempts: 1}, func(w *world) {
		s := w.subscribe(SubscriptionOptions{Lifecycle: true})
		c, id := w.listener.Connect(t, "")
		join := func(name string) {
			t.Helper()
			op := sio.Join{To: sio.Target{Namespace: "/", Selector: room.Selector{IDs: []string{id}}}, Rooms: []string{name}}
			if _, err := w.server.Apply(w.t.Context(), op); err != nil {
				t.Fatal(err)
			}
		}
		next := func() Delivery {
			t.Helper()
			d, err := s.Next(w.t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		connected := next()
		c.Say(`42["a"]`)
		message := next()
		join("r")
		if v := message.Current(ViewDefault); v == nil || !slices.Contains(v.Rooms, "r") || message.Connection != nil {
			t.Errorf("now: %+v", v)
		}
		if v := connected.Current(ViewDefault); v == nil || slices.Contains(v.Rooms, "r") {
			t.Errorf("when it connected: %+v", v)
		}
		c.Say("41")
		gone := next()
		if v := message.Current(ViewDefault); v != gone.Connection || !slices.Contains(v.Rooms, "r") {
			t.Errorf("afterwards: %+v, want %+v", v, gone.Connection)
		}
		if message.view.socket.Load() != nil {
			t.Error("the event keeps the socket")
		}
		if err := s.Nack(message.ID(), 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		letters, _ := w.DeadLetters(DeadLetterFilter{}, "", 10)
		if len(letters) != 1 || letters[0].Event.Current(ViewDefault) != nil || message.Current(ViewDefault) == nil {
			t.Errorf("dead letters: %+v", letters)
		}
		c.Close()
	})
}
