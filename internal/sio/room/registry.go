package room

import "slices"

// Registry holds the members of one namespace. A Registry comes from [New];
// its methods are not safe for concurrent use.
type Registry[M any] struct {
	ids   map[string]*Entry[M]
	rooms map[string]*memberSet[M] // but those of one member who has them by its id; see Entry.own
	users map[string]*memberSet[M]
	all   memberSet[M]
	seq   uint64 // of the member that was added last
	epoch uint64 // the mark of the latest selection that needed one

	observe func(kind Kind, name string, there bool) // may be nil

	ordered   map[*memberSet[M]]*sorted[uint64, *Entry[M]] // by sequence number; see index
	names     sorted[string, *memberSet[M]]                // of rooms
	owners    sorted[string, *Entry[M]]                    // those with a room of their own, by id
	ownRooms  int                                          // how many they are
	userNames sorted[string, *memberSet[M]]                // of users
}

// Entry is the handle of one member, valid from Add to Remove.
type Entry[M any] struct {
	Value M

	id   string
	seq  uint64
	in   []membership[M] // every set it is in but the registry's all
	mark uint64          // the latest selection that yielded or excluded it
	pos  uint32          // index in the slots of all
	// own says that it is in the room of its id, alone: so are nearly all, and the room is
	// no set then. Who joins such a room makes it one.
	own     bool
	present bool // it is in the registry
}

// New returns an empty Registry.
func New[M any]() *Registry[M] {
	return &Registry[M]{
		ids:   make(map[string]*Entry[M]),
		rooms: make(map[string]*memberSet[M]),
		users: make(map[string]*memberSet[M]),

		ordered:   make(map[*memberSet[M]]*sorted[uint64, *Entry[M]]),
		names:     sorted[string, *memberSet[M]]{key: nameOf[M]},
		owners:    sorted[string, *Entry[M]]{key: idOf[M]},
		userNames: sorted[string, *memberSet[M]]{key: nameOf[M]},
	}
}

func nameOf[M any](g *memberSet[M]) string { return g.name }

func idOf[M any](e *Entry[M]) string { return e.id }

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
	r.seq++
	e := &Entry[M]{Value: m, id: id, seq: r.seq, present: true}
	r.ids[id] = e
	r.add(&r.all, e)
	r.observed(KindID, id, true)
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
	if !e.present || e.User() == user {
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
	if !e.present {
		return
	}
	for i := len(e.in) - 1; i >= 0; i-- {
		r.removeFrom(e, i)
	}
	if e.own {
		r.disown(e)
		r.observed(KindRoom, e.id, false)
	}
	r.removeFromAll(e)
	e.in, e.present = nil, false
	delete(r.ids, e.id)
	r.observed(KindID, e.id, false)
}

// Join puts e into room, creating it if need be. It reports whether that
// changed anything: false if e was in room, or has been removed.
func (r *Registry[M]) Join(e *Entry[M], room string) bool {
	if !e.present {
		return false
	}
	g := r.rooms[room]
	switch {
	case g != nil && g.find(e) >= 0:
		return false
	case g == nil && room == e.id:
		if e.own {
			return false
		}
		e.own = true
		r.ownRooms++
		r.owners.insert(e)
		r.observed(KindRoom, room, true)
		return true
	case g == nil:
		g = newMemberSet[M](room, KindRoom)
		if owner := r.owner(room); owner != nil {
			r.disown(owner)
			g.add(owner)
		}
		r.rooms[room] = g
		r.names.insert(g)
	}
	r.add(g, e)
	return true
}

// owner returns whose own room that is, nil if it is nobody's.
func (r *Registry[M]) owner(room string) *Entry[M] {
	if e := r.ids[room]; e != nil && e.own {
		return e
	}
	return nil
}

// disown ends a room that was e's own.
func (r *Registry[M]) disown(e *Entry[M]) {
	e.own = false
	r.ownRooms--
	r.owners.remove(e.id)
}

// Fits reports whether e would be in no more than most rooms once it joined these,
// which is always so if it is in all of them.
func (r *Registry[M]) Fits(e *Entry[M], rooms []string, most int) bool {
	if 1+len(e.in)+len(rooms) <= most { // e may have no room of its own, and is in a set that is no room too
		return true
	}
	added := map[string]bool{}
	for _, name := range rooms {
		if !r.has(name, e) {
			added[name] = true
		}
	}
	n := len(added)
	if e.own {
		n++
	}
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
		if !e.own || room != e.id {
			return false
		}
		r.disown(e)
		r.observed(KindRoom, room, false)
		return true
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
func (r *Registry[M]) RoomCount() int { return len(r.rooms) + r.ownRooms }

// has reports whether e is in room.
func (r *Registry[M]) has(room string, e *Entry[M]) bool {
	if g := r.rooms[room]; g != nil {
		return g.find(e) >= 0
	}
	return e.own && room == e.id
}

// observed tells who observes the registry.
func (r *Registry[M]) observed(k Kind, name string, there bool) {
	if r.observe != nil {
		r.observe(k, name, there)
	}
}

// add puts e, which is not in g, into it.
func (r *Registry[M]) add(g *memberSet[M], e *Entry[M]) {
	g.add(e)
	if g.len() == 1 {
		r.observed(g.kind, g.name, true)
	}
	r.index(g, e)
}

// removeFromAll takes e out of the set of all.
func (r *Registry[M]) removeFromAll(e *Entry[M]) {
	r.all.take(e.pos)
	r.unindex(&r.all, e)
	if r.all.len() == 0 {
		r.observed(KindAll, "", false)
	}
}

// removeFrom ends membership i of e; a set that is empty then is removed.
func (r *Registry[M]) removeFrom(e *Entry[M], i int) {
	g := e.in[i].set
	g.remove(e, i)
	r.unindex(g, e)
	if g.len() > 0 {
		return
	}
	r.observed(g.kind, g.name, false)
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
	names := slices.AppendSeq(make([]string, 0, 1+len(e.in)), e.EachRoom)
	slices.Sort(names)
	return names
}

// EachRoom yields the names of the rooms the member is in, in no particular order.
func (e *Entry[M]) EachRoom(yield func(name string) bool) {
	if e.own && !yield(e.id) {
		return
	}
	for _, m := range e.in {
		if m.set.kind == KindRoom && !yield(m.set.name) {
			return
		}
	}
}
