package room

import (
	"math"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"weak"
)

func TestAddTwice(t *testing.T) {
	r := New[int]()
	e := r.Add("a", "", 1)
	if again := r.Add("a", "u", 2); again != nil {
		t.Errorf("a taken id was added: %v", again)
	}
	if r.Lookup("a") != e || e.Value != 1 || r.Len() != 1 || r.users["u"].len() != 0 {
		t.Error("the second Add changed something")
	}
}

func TestRemovedEntryStaysAway(t *testing.T) {
	r := New[int]()
	e := r.Add("a", "u", 1)
	r.Remove(e)
	r.Remove(e)
	if r.Join(e, "room") || r.Leave(e, "a") {
		t.Error("a removed entry changed rooms")
	}
	if r.Len() != 0 || r.RoomCount() != 0 || r.users["u"].len() != 0 {
		t.Error("a removed entry is still there")
	}
	if again := r.Add("a", "", 2); again == nil || again == e {
		t.Error("the id was not free again")
	}
	r.Remove(e)
	if r.Lookup("a") == nil {
		t.Error("removing the old entry removed the new one")
	}
}

func TestLeaveOwnRoom(t *testing.T) {
	r := New[int]()
	e := r.Add("a", "", 1)
	if !r.Leave(e, "a") || len(e.Rooms()) != 0 || r.RoomCount() != 0 {
		t.Errorf("rooms %v of %d", e.Rooms(), r.RoomCount())
	}
	if got := selected(r, Selector{Rooms: []string{"a"}}); len(got) != 0 {
		t.Errorf("the room still selects %v", got)
	}
	if got := selected(r, Selector{IDs: []string{"a"}}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the id selects %v", got)
	}
}

func TestZeroSelectorSelectsNobody(t *testing.T) {
	r := New[int]()
	r.Add("a", "", 1)
	for _, s := range []Selector{{}, {Except: []string{"a"}}, {Users: []string{""}}, {Rooms: []string{""}}} {
		if got := selected(r, s); len(got) != 0 {
			t.Errorf("%+v selects %v", s, got)
		}
	}
}

func TestSelectDoesNotAllocate(t *testing.T) {
	r := New[int]()
	for i := range 1000 {
		r.Join(r.Add(strconv.Itoa(i), "user", i), "room"+strconv.Itoa(i%3))
	}
	n := 0
	count := func(*Entry[int]) { n++ }
	for _, s := range []Selector{
		{All: true},
		{Rooms: []string{"room1"}},
		{Rooms: []string{"room0", "room1"}, Users: []string{"user"}, IDs: []string{"1"}, Except: []string{"room2"}},
	} {
		if a := testing.AllocsPerRun(10, func() { r.Select(s, count) }); a != 0 {
			t.Errorf("%+v allocates %v times", s, a)
		}
	}
	if n == 0 {
		t.Error("nobody selected")
	}
}

// TestMemoryIsGivenBack lets a crowd leave a room and checks that nothing of
// it is held: neither the members nor their slots.
func TestMemoryIsGivenBack(t *testing.T) {
	r := New[*[64]byte]()
	stays := r.Add("stays", "", new([64]byte))
	var gone []*Entry[*[64]byte]
	var values []weak.Pointer[[64]byte]
	first := r.Add("first", "user", new([64]byte)) // the one kept in place
	gone = append(gone, first)
	r.Join(first, "room")
	r.Join(stays, "room")
	for i := range 10_000 {
		e := r.Add(strconv.Itoa(i), "", new([64]byte))
		r.Join(e, "room")
		gone = append(gone, e)
	}
	for _, e := range gone {
		values = append(values, weak.Make(e.Value))
		r.Remove(e)
	}
	if c := cap(r.rooms["room"].slots); c > 4*keepSlots {
		t.Errorf("a room of one keeps %d slots", c)
	}
	runtime.GC()
	runtime.GC()
	for i, v := range values {
		if v.Value() != nil {
			t.Fatalf("member %d is still held", i)
		}
	}
	runtime.KeepAlive(r)
}

// Nobody has a number above the largest.
func TestScanBehindTheLargest(t *testing.T) {
	r := New[int]()
	r.Add("a", "u", 1)
	for _, sel := range []Selector{{All: true}, {IDs: []string{"a"}}, {Users: []string{"u"}}, {Rooms: []string{"a"}}} {
		found := 0
		r.Next(NewScan[int](sel, math.MaxUint64, 0), 100, func(*Entry[int]) { found++ })
		if found > 0 {
			t.Errorf("%+v: %d found behind the largest number", sel, found)
		}
	}
}
