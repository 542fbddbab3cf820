package room

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// model is the index as maps of sets, too slow and too plain to be wrong.
type model struct {
	rooms map[string]map[string]bool // room -> ids
	users map[string]string          // id -> user; has every member
}

func (m *model) join(id, room string) bool {
	if m.rooms[room][id] {
		return false
	}
	if m.rooms[room] == nil {
		m.rooms[room] = map[string]bool{}
	}
	m.rooms[room][id] = true
	return true
}

func (m *model) leave(id, room string) bool {
	if !m.rooms[room][id] {
		return false
	}
	delete(m.rooms[room], id)
	if len(m.rooms[room]) == 0 {
		delete(m.rooms, room)
	}
	return true
}

func (m *model) remove(id string) {
	for room := range m.rooms {
		m.leave(id, room)
	}
	delete(m.users, id)
}

func (m *model) selected(s Selector) []string {
	var ids []string
	for id, user := range m.users {
		in := func(room string) bool { return m.rooms[room][id] }
		meant := s.All || slices.ContainsFunc(s.Rooms, in) || slices.Contains(s.IDs, id) ||
			user != "" && slices.Contains(s.Users, user)
		if meant && !slices.ContainsFunc(s.Except, in) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// TestModel does the same random things to the index and to the model, in a
// small world so that everything meets everything.
func TestModel(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			pick := func(prefix string, n int) string { return fmt.Sprint(prefix, rnd.IntN(n)) }
			some := func(pick func() string) []string {
				var names []string
				for range rnd.IntN(3) {
					names = append(names, pick())
				}
				return names
			}
			// Enough for sets to be indexed at times, and at times not.
			id := func() string { return pick("id", 30+60*int(seed%2)*(1+int(seed/2)%2)) }
			room := func() string { // an id is a room too
				if rnd.IntN(4) == 0 {
					return id()
				}
				return pick("room", 8)
			}
			user := func() string { return pick("user", 4) }

			r := New[string]()
			there := map[Kind]map[string]bool{KindAll: {}, KindRoom: {}, KindUser: {}, KindID: {}}
			r.Observe(func(kind Kind, name string, is bool) {
				if there[kind][name] == is {
					t.Fatalf("told twice that %q of kind %d is there: %v", name, kind, is)
				}
				if there[kind][name] = is; !is {
					delete(there[kind], name)
				}
			})
			m := &model{rooms: map[string]map[string]bool{}, users: map[string]string{}}
			for step := range 3000 {
				i, rm := id(), room()
				e := r.Lookup(i)
				if _, ok := m.users[i]; ok != (e != nil) {
					t.Fatalf("step %d: Lookup(%s) = %v", step, i, e)
				}
				u := ""
				if rnd.IntN(2) == 0 {
					u = user()
				}
				switch op := rnd.IntN(11); {
				case e == nil:
					if r.Add(i, u, "value of "+i) == nil {
						t.Fatalf("step %d: Add(%s) found it taken", step, i)
					}
					m.users[i] = u
					m.join(i, i)
				case op == 0:
					r.Remove(e)
					m.remove(i)
				case op < 6:
					if got, want := r.Join(e, rm), m.join(i, rm); got != want {
						t.Fatalf("step %d: Join(%s, %s) = %v", step, i, rm, got)
					}
				case op == 10:
					if got, want := r.SetUser(e, u), m.users[i] != u; got != want || e.User() != u {
						t.Fatalf("step %d: SetUser(%s, %q) = %v, and the user is %q", step, i, u, got, e.User())
					}
					m.users[i] = u
				default:
					if got, want := r.Leave(e, rm), m.leave(i, rm); got != want {
						t.Fatalf("step %d: Leave(%s, %s) = %v", step, i, rm, got)
					}
				}
				s := Selector{Rooms: some(room), IDs: some(id), Users: some(user), Except: some(room), All: rnd.IntN(6) == 0}
				if got, want := selected(r, s), m.selected(s); !slices.Equal(got, want) {
					t.Fatalf("step %d: Select(%+v) = %v, want %v", step, s, got, want)
				}
				compareScan(t, r, m, s, rnd)
				if step%50 == 0 {
					compare(t, r, m)
					compareObserved(t, there, m)
				}
			}
			compare(t, r, m)
			for i := range m.users {
				r.Remove(r.Lookup(i))
			}
			if len(r.ordered) != 0 || len(r.names.chunks) != 0 || len(r.owners.chunks) != 0 {
				t.Errorf("left behind: %d orders, %d chunks of names, %d of members", len(r.ordered), len(r.names.chunks), len(r.owners.chunks))
			}
			if r.Len() != 0 || r.RoomCount() != 0 || len(r.users) != 0 || r.all.len() != 0 {
				t.Errorf("left behind: %d members, %d rooms, %d users, %d in all", r.Len(), r.RoomCount(), len(r.users), r.all.len())
			}
		})
	}
}

// compareObserved compares the sets that an observer was told of with those that there are.
func compareObserved(t *testing.T, there map[Kind]map[string]bool, m *model) {
	t.Helper()
	want := map[Kind][]string{KindAll: {""}, KindRoom: slices.Sorted(maps.Keys(m.rooms)), KindID: slices.Sorted(maps.Keys(m.users))}
	if len(m.users) == 0 {
		want[KindAll] = nil
	}
	for _, user := range m.users {
		if user != "" && !slices.Contains(want[KindUser], user) {
			want[KindUser] = append(want[KindUser], user)
		}
	}
	for kind, names := range there {
		slices.Sort(want[kind])
		if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, want[kind]) {
			t.Fatalf("kind %d: told of %v, want %v", kind, got, want[kind])
		}
	}
}

// selected is what Select yields, sorted; a member yielded twice is there twice.
func selected[M any](r *Registry[M], s Selector) []string {
	var ids []string
	r.Select(s, func(e *Entry[M]) { ids = append(ids, e.id) })
	slices.Sort(ids)
	return ids
}

// compareScan scans in random pieces: each part comes in order, and cut at the
// limit.
func compareScan(t *testing.T, r *Registry[string], m *model, s Selector, rnd *rand.Rand) {
	t.Helper()
	if n, known := r.Count(s); known && n != len(m.selected(s)) {
		t.Fatalf("Count(%+v) = %d, want %d", s, n, len(m.selected(s)))
	}
	after, limit := uint64(rnd.Int64N(int64(r.seq)+1)), rnd.IntN(5)
	want := map[string]int{}
	parts := []Selector{{All: true}}
	if !s.All {
		parts = nil
		for _, name := range s.Rooms {
			parts = append(parts, Selector{Rooms: []string{name}})
		}
		for _, name := range s.IDs {
			parts = append(parts, Selector{IDs: []string{name}})
		}
		for _, name := range s.Users {
			parts = append(parts, Selector{Users: []string{name}})
		}
	}
	for _, part := range parts {
		part.Except = s.Except
		ids := m.selected(part)
		ids = slices.DeleteFunc(ids, func(id string) bool { return r.Lookup(id).Seq() <= after })
		slices.SortFunc(ids, func(a, b string) int { return cmp.Compare(r.Lookup(a).Seq(), r.Lookup(b).Seq()) })
		if limit > 0 {
			ids = ids[:min(limit, len(ids))]
		}
		for _, id := range ids {
			want[id]++
		}
	}
	got := map[string]int{}
	scan := NewScan[string](s, after, limit)
	for more := true; more; {
		budget, looked := 1+rnd.IntN(7), 0
		more = r.Next(scan, budget, func(e *Entry[string]) {
			got[e.id]++
			looked++
		})
		if looked > budget {
			t.Fatalf("a piece of %d members with a budget of %d", looked, budget)
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("scan of %+v after %d, %d of each part = %v, want %v", s, after, limit, got, want)
	}
}

func compare(t *testing.T, r *Registry[string], m *model) {
	t.Helper()
	if r.Len() != len(m.users) || r.RoomCount() != len(m.rooms) {
		t.Fatalf("%d members in %d rooms, want %d in %d", r.Len(), r.RoomCount(), len(m.users), len(m.rooms))
	}
	members := map[string]int{}
	for i, user := range m.users {
		e := r.Lookup(i)
		if e.id != i || e.User() != user || e.Value != "value of "+i {
			t.Fatalf("%s: id %s, user %s, value %s, want user %s", i, e.id, e.User(), e.Value, user)
		}
		var rooms []string
		for room, ids := range m.rooms {
			if ids[i] {
				rooms = append(rooms, room)
			}
		}
		slices.Sort(rooms)
		if got := e.Rooms(); !slices.Equal(got, rooms) {
			t.Fatalf("%s: rooms %v, want %v", i, got, rooms)
		}
		if user != "" {
			members[user]++
		}
	}
	if len(r.users) != len(members) {
		t.Fatalf("%d users, want %d", len(r.users), len(members))
	}
	for user, n := range members {
		if r.users[user].len() != n {
			t.Fatalf("user %s has %d members, want %d", user, r.users[user].len(), n)
		}
	}
	for _, prefix := range []string{"", "room", "id1", "nothing"} {
		for _, limit := range []int{1, 3, 1 << 62} {
			compareRooms(t, r, m, prefix, limit)
		}
	}
}

func compareRooms(t *testing.T, r *Registry[string], m *model, prefix string, limit int) {
	t.Helper()
	var want []Count
	for _, name := range slices.Sorted(maps.Keys(m.rooms)) {
		if strings.HasPrefix(name, prefix) {
			want = append(want, Count{name, len(m.rooms[name]), r.Lookup(name) != nil})
			if got, _ := r.Count(Selector{Rooms: []string{name}}); got != len(m.rooms[name]) {
				t.Fatalf("room %s has %d members, want %d", name, got, len(m.rooms[name]))
			}
		}
	}
	var got []Count
	after := ""
	for {
		page, more := r.Rooms(prefix, after, limit)
		if len(page) > limit || more && len(page) < limit {
			t.Fatalf("a page of %d with limit %d, more %v", len(page), limit, more)
		}
		got = append(got, page...)
		if !more {
			break
		}
		after = page[len(page)-1].Name
	}
	if !slices.Equal(got, want) {
		t.Fatalf("Rooms(%q) by %d = %v, want %v", prefix, limit, got, want)
	}
}
