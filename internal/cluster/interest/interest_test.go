package interest

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// follow brings s up to date with l.
func follow(t *testing.T, l *Local, s *Set) (set, cleared []uint32) {
	t.Helper()
	set, cleared = l.TakeChanges()
	if err := s.Change(set, cleared); err != nil {
		t.Fatal(err)
	}
	return set, cleared
}

func TestSetFollowsLocal(t *testing.T) {
	l, s := NewLocal(), NewSet()
	if !s.Has(Room, "/", "r") {
		t.Error("a set of which nothing is known says no")
	}
	if err := s.Apply(l.Full()); err != nil {
		t.Fatal(err)
	}
	if s.Has(Room, "/", "r") {
		t.Error("an empty set says maybe")
	}
	l.Add(Room, "/", "r")
	l.Add(Room, "/", "r")
	if set, cleared := follow(t, l, s); len(set) != 1 || len(cleared) != 0 || !s.Has(Room, "/", "r") {
		t.Errorf("after Add: %v, %v", set, cleared)
	}
	for _, other := range []struct {
		kind            Kind
		namespace, name string
	}{{User, "/", "r"}, {Room, "/r", ""}, {Room, "/", "R"}, {Namespace, "/", "r"}} {
		if s.Has(other.kind, other.namespace, other.name) {
			t.Errorf("%v is there too", other)
		}
	}
	l.Remove(Room, "/", "r")
	if set, cleared := follow(t, l, s); len(set)+len(cleared) != 0 || !s.Has(Room, "/", "r") {
		t.Errorf("added twice and removed once: %v, %v", set, cleared)
	}
	l.Remove(Room, "/", "r")
	l.Add(Room, "/", "r")
	if set, cleared := follow(t, l, s); len(set)+len(cleared) != 0 {
		t.Errorf("removed and added: %v, %v", set, cleared)
	}
	l.Remove(Room, "/", "r")
	if set, cleared := follow(t, l, s); len(set) != 0 || len(cleared) != 1 || s.Has(Room, "/", "r") {
		t.Errorf("removed: %v, %v", set, cleared)
	}
	s.All()
	if !s.Has(Room, "/", "r") {
		t.Error("after All")
	}
}

// TestSetIsLocal: whatever happens, a set that follows, and one that is told all, say
// maybe for each name that is there, and are the same.
func TestSetIsLocal(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	l, following := NewLocal(), NewSet()
	if err := following.Apply(l.Full()); err != nil {
		t.Fatal(err)
	}
	there := map[string]int{}
	for i := range 20_000 {
		name := fmt.Sprint(random.IntN(500))
		if there[name] > 0 && random.IntN(2) == 0 {
			there[name]--
			l.Remove(Room, "/", name)
		} else {
			there[name]++
			l.Add(Room, "/", name)
		}
		if random.IntN(50) > 0 {
			continue
		}
		follow(t, l, following)
		told := NewSet()
		if err := told.Apply(l.Full()); err != nil {
			t.Fatal(err)
		}
		for w := range told.words {
			if told.words[w].Load() != following.words[w].Load() {
				t.Fatalf("step %d: word %d differs", i, w)
			}
		}
		for name, n := range there {
			if n > 0 && !following.Has(Room, "/", name) {
				t.Fatalf("step %d: %q is there and the set says no", i, name)
			}
		}
	}
}

// TestManyChanges: changes that nobody takes cost no more memory than the set does.
func TestManyChanges(t *testing.T) {
	l, s := NewLocal(), NewSet()
	if err := s.Apply(l.Full()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxChanges {
		l.Add(User, "/", fmt.Sprint(i))
	}
	if len(l.changed) > maxChanges {
		t.Errorf("%d changes are kept", len(l.changed))
	}
	follow(t, l, s)
	for i := range 3 * maxChanges {
		if !s.Has(User, "/", fmt.Sprint(i)) {
			t.Fatalf("%d is not told of", i)
		}
	}
	l.Add(Room, "/", "one more")
	if set, _ := follow(t, l, s); len(set) > 1 {
		t.Errorf("%d bits are told of once more", len(set))
	}
}

// TestEncodings: a set is a list while that is shorter, and comes back whole.
func TestEncodings(t *testing.T) {
	for _, number := range []int{0, 1, 1000, 20_000, 50_000, 1_000_000} {
		var set [words]uint64
		for i := range number {
			bit := bitOf(Room, "/", fmt.Sprint(i))
			set[bit/64] |= 1 << (bit % 64)
		}
		b := encode(&set)
		back, err := decode(b)
		if err != nil || *back != set || len(b) > 1+Bits/8 {
			t.Errorf("%d names: %d bytes, %v", number, len(b), err)
		}
	}
}

// TestShareOfFalsePositives holds the numbers of the package comment.
func TestShareOfFalsePositives(t *testing.T) {
	for number, want := range map[int]float64{10_000: 0.5, 100_000: 4.7, 1_000_000: 37.9} {
		l, s := NewLocal(), NewSet()
		for i := range number {
			l.Add(Room, "/", fmt.Sprint("room-", i))
		}
		l.TakeChanges()
		if err := s.Apply(l.Full()); err != nil {
			t.Fatal(err)
		}
		yes, asked := 0, 200_000
		for i := range asked {
			if s.Has(Room, "/", fmt.Sprint("other-", i)) {
				yes++
			}
		}
		if got := 100 * float64(yes) / float64(asked); got < want-0.5 || got > want+0.5 {
			t.Errorf("%d names: %.1f %% of others say maybe, the package comment says %.1f %%", number, got, want)
		}
	}
}

func TestBadChanges(t *testing.T) {
	s := NewSet()
	if err := s.Apply(NewLocal().Full()); err != nil {
		t.Fatal(err)
	}
	if s.Change([]uint32{1, Bits}, nil) == nil || s.Change(nil, []uint32{Bits}) == nil {
		t.Error("a bit beyond the last is taken")
	}
	if s.words[0].Load() != 0 {
		t.Error("a change that was refused has changed something")
	}
	for _, bad := range [][]byte{nil, {0}, {9}, {formRaw}, {formList, 0x80}, append([]byte{formList}, 0xff, 0xff, 0xff, 0x7f)} {
		if s.Apply(bad) == nil {
			t.Errorf("%v is taken for a set", bad)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var set [words]uint64
	set[0], set[words-1] = 5, 1<<63
	f.Add(encode(&set))
	f.Add([]byte{formRaw, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(encode(set))
		if err != nil || *again != *set {
			t.Fatalf("a set does not come back: %v", err)
		}
	})
}

func BenchmarkHas(b *testing.B) {
	l, s := NewLocal(), NewSet()
	for i := range 10_000 {
		l.Add(Room, "/", fmt.Sprint(i))
	}
	l.TakeChanges()
	if err := s.Apply(l.Full()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Has(Room, "/", "some room of a usual length")
	}
}

func BenchmarkAddRemove(b *testing.B) {
	l := NewLocal()
	b.ReportAllocs()
	for b.Loop() {
		l.Add(Room, "/", "some room of a usual length")
		l.Remove(Room, "/", "some room of a usual length")
		if len(l.changed) > 1000 {
			l.TakeChanges()
		}
	}
}
