package sio

import (
	"errors"
	"slices"
	"testing"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// A Join that would put one of its connections into too many rooms changes nothing.
func TestMaxRooms(t *testing.T) {
	inBubble(t, Options{MaxRooms: 3}, func(w *world) {
		a, idA := w.connect("")
		b, idB := w.connect("")
		join := func(to Target, rooms ...string) error {
			_, err := w.Apply(w.t.Context(), Join{To: to, Rooms: rooms})
			return err
		}
		onlyA := to(room.Selector{IDs: []string{idA}})
		rooms := func(id string) []string {
			c, err := w.Connection(w.t.Context(), "/", id)
			if err != nil {
				t.Fatal(err)
			}
			return slices.DeleteFunc(c.Rooms, func(name string) bool { return name == id })
		}
		for _, tt := range []struct {
			name  string
			to    Target
			rooms []string
			want  error
		}{
			{"one", onlyA, []string{"r"}, nil},
			{"two more", onlyA, []string{"s", "t"}, ErrTooManyRooms},
			{"one of everybody's", everybody, []string{"r", "s"}, nil},
			{"those that they are in", everybody, []string{"r", "s", "r"}, nil},
			{"one more, of everybody's", everybody, []string{"t"}, ErrTooManyRooms},
		} {
			if err := join(tt.to, tt.rooms...); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
		w.apply(Leave{To: onlyA, Rooms: []string{"r", idA}})
		if err := join(onlyA, "t", "u", "t"); err != nil {
			t.Errorf("after leaving: %v", err)
		}
		if got, want := rooms(idA), []string{"s", "t", "u"}; !slices.Equal(got, want) {
			t.Errorf("a is in %q, want %q", got, want)
		}
		if got, want := rooms(idB), []string{"r", "s"}; !slices.Equal(got, want) {
			t.Errorf("b is in %q, want %q", got, want)
		}
		a.Close()
		b.Close()
	})
}
