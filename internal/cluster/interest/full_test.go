package interest

import "testing"

// TestFullFitsChanges: whoever is told all between two calls of TakeChanges, and of the
// changes from then on, knows of each name that is there. A peer that joins is told all
// then, while names lose their last member and get a first one again.
func TestFullFitsChanges(t *testing.T) {
	for name, c := range map[string]struct{ there bool }{
		"left and came back": {there: true},
		"came and left":      {there: false},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := NewLocal(), NewSet()
			first, second := l.Add, l.Remove
			if c.there {
				first, second = l.Remove, l.Add
				l.Add(Room, "/", "r")
			}
			l.TakeChanges()
			first(Room, "/", "r")
			if err := s.Apply(l.Full()); err != nil {
				t.Fatal(err)
			}
			second(Room, "/", "r")
			if err := s.Change(l.TakeChanges()); err != nil {
				t.Fatal(err)
			}
			if got := s.Has(Room, "/", "r"); got != c.there {
				t.Errorf("the set says %v, the room is there: %v", got, c.there)
			}
		})
	}
}
