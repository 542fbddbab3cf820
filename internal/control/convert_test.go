package control

import (
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	var p problems
	names(&p, "rooms", []string{"a", "", strings.Repeat("x", 9)}, 2, 8)
	if got, want := fields(t, p.err()), []string{"rooms", "rooms[1]", "rooms[2]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNamesCostNothing as long as nothing is wrong with them.
func TestNamesCostNothing(t *testing.T) {
	list := slices.Repeat([]string{"room"}, 1000)
	allocs := testing.AllocsPerRun(10, func() {
		var p problems
		names(&p, "rooms", list, maxRooms, maxRoomName)
		if p.any() {
			t.Fatal(p.err())
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations for %d good names", allocs, len(list))
	}
}
