package room

import "slices"

// Registry holds the members of one namespace. A Registry comes from [New];
// its methods are not safe for concurrent use.
type Registry[M any] struct {
	ids   map[string]*Entry[M]
	rooms map[string]*memberSet[M]
	users map[string]*memberSet[M]
	all   memberSet[M]
	seq   uint64 // of the member that was added last
	epoch uint64 // the mark of the latest selection that needed one

	observe func(kind Kind, name string, there bool) // may be nil

	ordered   map[*memberSet[M]]*sorted[uint64, *Entry[M]] // by sequence number; see index
	names     sorted[string, *memberSet[M]]                // of rooms
	userNames sorted[string, *memberSet[M]]                // of users
}

// Entry is the handle of one member, valid from Add to Remove.
type Entry[M any] struct {
	Value M

	id   string
	seq  uint64
	in   []membership[M] // every set it is in; the registry's all comes first
	mark uint64          // the latest selection that yielded or excluded it
}

// New returns an empty Registry.
func New[M any]() *Registry[M] {
	return &Registry[M]{
		ids:   make(map[string]*Entry[M]),
		rooms: make(map[string]*memberSet[M]),
		users: make(map[string]*memberSet[M]),

		ordered:   make(map[*memberSet[M]]*sorted[uint64, *Entry[M]]),
		names:     sorted[string, *memberSet[M]]{key: nameOf[M]},
		userNames: sorted[string, *memberSet[M]]{key: nameOf[M]},
	}
}

func nameOf[M any](g *memberSet[M]) string { return g.name }

// Observe calls f, from now on, whenever a set gets its first member (there) or loses
// its last: everybody, a room, a user; and of each id. f must not use the registry.
func (r *Registry[M]) Observe(f func(kind Kind, name string, there bool)) { r.observe = f }

// Add adds a member under id, which also becomes the first room it is in, and
// under user unless that is empty. An id that is taken changes nothing and
// returns nil.
func (r *Registry[M]) Add(id, user string, m M) *Entry[M] {
	if _, taken := r.ids[id]; taken {
		return nil
	}
	// Room for all, its own room, a user and one room more.
	r.seq++
	e := &Entry[M]{Value: m, id: id, seq: r.seq, in: make([]membership[M], 0, 4)}
	r.ids[id] = e
	r.add(&r.all, e)
	if r.observe != nil {
		r.observe(KindID, id, true)
	}
	r.Join(e, id)
	r.addToUser(e, user)
	return e
}

// addToUser adds e, which is of no user, to the connections of one, unless that is empty.
func (r *Registry[M]) addToUser(e *Entry[M], user string) {
	if user == "" {
		return
	}
	g := r.users[user]
	if g == nil {
		g = newMemberSet[M](user, KindUser)
		r.users[user] = g
		r.userNames.insert(g)
	}
	r.add(g, e)
}

// SetUser makes e one of user's, and of nobody else's; empty: of nobody's. It reports
// whether that changed anything: false if e was, or has been removed.
func (r *Registry[M]) SetUser(e *Entry[M], user string) bool {
	if !e.present() || e.User() == user {
		return false
	}
	for i, m := range e.in {
		if m.set.kind == KindUser {
			r.removeFrom(e, i)
			break
		}
	}
	r.addToUser(e, user)
	return true
}

// Remove removes e from every room and from the registry. An entry that is
// gone already stays so.
func (r *Registry[M]) Remove(e *Entry[M]) {
	if !e.present() {
		return
	}
	for i := len(e.in) - 1; i >= 0; i-- {
		r.removeFrom(e, i)
	}
	e.in = nil
	delete(r.ids, e.id)
	if r.observe != nil {
		r.observe(KindID, e.id, false)
	}
}

// Join puts e into room, creating it if need be. It reports whether that
// changed anything: false if e was in room, or has been removed.
func (r *Registry[M]) Join(e *Entry[M], room string) bool {
	if !e.present() {
		return false
	}
	g := r.rooms[room]
	if g == nil {
		g = newMemberSet[M](room, KindRoom)
		r.rooms[room] = g
		r.names.insert(g)
	} else if g.find(e) >= 0 {
		return false
	}
	r.add(g, e)
	return true
}

// Fits reports whether e would be in no more than most rooms once it joined these,
// which is always so if it is in all of them.
func (r *Registry[M]) Fits(e *Entry[M], rooms []string, most int) bool {
	if len(e.in)+len(rooms) <= most { // e is in sets that are no rooms too
		return true
	}
	added := map[string]bool{}
	for _, name := range rooms {
		if g := r.rooms[name]; g == nil || g.find(e) < 0 {
			added[name] = true
		}
	}
	n := len(added)
	for _, m := range e.in {
		if m.set.kind == KindRoom {
			n++
		}
	}
	return len(added) == 0 || n <= most
}

// Leave takes e out of room; an empty room vanishes. It reports whether that
// changed anything. A member may leave the room of its own id, as in the
// reference (socket.io-adapter/lib/in-memory-adapter.ts, del); it is still
// found by Lookup and by Selector.IDs.
func (r *Registry[M]) Leave(e *Entry[M], room string) bool {
	g := r.rooms[room]
	if g == nil {
		return false
	}
	i := g.find(e)
	if i < 0 {
		return false
	}
	r.removeFrom(e, i)
	return true
}

// Lookup returns the member with this id, or nil.
func (r *Registry[M]) Lookup(id string) *Entry[M] { return r.ids[id] }

// Len is the number of members.
func (r *Registry[M]) Len() int { return len(r.ids) }

// RoomCount is the number of rooms, those of the members' own ids included.
func (r *Registry[M]) RoomCount() int { return len(r.rooms) }

// add puts e, which is not in g, into it.
func (r *Registry[M]) add(g *memberSet[M], e *Entry[M]) {
	g.add(e)
	if r.observe != nil && g.len() == 1 {
		r.observe(g.kind, g.name, true)
	}
	r.index(g, e)
}

// removeFrom ends membership i of e; a set that is empty then is removed.
func (r *Registry[M]) removeFrom(e *Entry[M], i int) {
	g := e.in[i].set
	g.remove(e, i)
	r.unindex(g, e)
	if g.len() > 0 {
		return
	}
	if r.observe != nil {
		r.observe(g.kind, g.name, false)
	}
	switch g.kind {
	case KindRoom:
		delete(r.rooms, g.name)
		r.names.remove(g.name)
	case KindUser:
		delete(r.users, g.name)
		r.userNames.remove(g.name)
	}
}

// LastSeq is the sequence number of the member that was added last; 0: none was.
func (r *Registry[M]) LastSeq() uint64 { return r.seq }

// Seq is the member's sequence number: 1, 2, 3 and so on, in the order in which
// members were added.
func (e *Entry[M]) Seq() uint64 { return e.seq }

// User is the member's user, empty if none.
func (e *Entry[M]) User() string {
	for _, m := range e.in {
		if m.set.kind == KindUser {
			return m.set.name
		}
	}
	return ""
}

// Rooms returns the names of the rooms the member is in, sorted, in a slice of
// the caller's own.
func (e *Entry[M]) Rooms() []string {
	names := make([]string, 0, len(e.in))
	for _, m := range e.in {
		if m.set.kind == KindRoom {
			names = append(names, m.set.name)
		}
	}
	slices.Sort(names)
	return names
}

// EachRoom yields the names of the rooms the member is in, in no particular order.
func (e *Entry[M]) EachRoom(yield func(name string) bool) {
	for _, m := range e.in {
		if m.set.kind == KindRoom && !yield(m.set.name) {
			return
		}
	}
}

// present reports whether the member is in its registry: it is in the set
// of all from Add to Remove.
func (e *Entry[M]) present() bool { return len(e.in) > 0 }
