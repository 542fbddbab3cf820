package room

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// A Matcher agrees with the Registry about who is described.
func TestMatcherAgreesWithSelect(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(kind string) (names []string) {
		for range random.IntN(3) {
			names = append(names, kind+strconv.Itoa(random.IntN(4)))
		}
		return names
	}
	matched := 0
	for range 2000 {
		r := New[string]()
		var entries []*Entry[string]
		for i := range 6 {
			user := ""
			if users := some("u"); len(users) > 0 {
				user = users[0]
			}
			e := r.Add("i"+strconv.Itoa(i), user, "")
			for _, name := range some("r") {
				r.Join(e, name)
			}
			entries = append(entries, e)
		}
		sel := Selector{Except: some("r")}
		if sel.All = random.IntN(3) == 0; !sel.All {
			sel.Rooms, sel.IDs, sel.Users = some("r"), some("i"), some("u")
		}
		var selected []*Entry[string]
		r.Select(sel, func(e *Entry[string]) { selected = append(selected, e) })
		m := NewMatcher(sel)
		for _, e := range entries {
			got, want := m.Match(e.id, e.User(), e.EachRoom), slices.Contains(selected, e)
			if got != want {
				t.Fatalf("%+v and %s of %q in %q: matched %v, selected %v", sel, e.id, e.User(), e.Rooms(), got, want)
			}
			if got {
				matched++
			}
		}
	}
	if matched == 0 {
		t.Error("nobody was ever selected")
	}
}
