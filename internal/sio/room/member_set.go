package room

// memberSet is a set of members in no particular order: a room, the connections
// of a user, or all.
type memberSet[M any] struct {
	name  string
	slots []slot[M]
	kind  Kind
	one   [1]slot[M] // backs slots while there is one: most users have one connection
}

// Kind is what a set of members is.
type Kind uint8

// The kinds.
const (
	KindAll  Kind = iota // everybody; it has no name
	KindRoom             // those in a room, named by it
	KindUser             // the connections of a user, named by it
	KindID               // the one with an id; it is no set in the registry
)

// slot is a member's place in a set, membership the set's place in the
// member's list. Each holds the other's index, so either finds both. The set of all is in
// nobody's list: there Entry.pos is the slot's index.
type slot[M any] struct {
	entry *Entry[M]
	at    uint32 // index in entry.in
}

type membership[M any] struct {
	set *memberSet[M]
	pos uint32 // index in set.slots
}

// keepSlots is the capacity below which a set never gives memory back: 1 KiB.
const keepSlots = 64

func newMemberSet[M any](name string, k Kind) *memberSet[M] {
	g := &memberSet[M]{name: name, kind: k}
	g.slots = g.one[:0]
	return g
}

func (g *memberSet[M]) len() int {
	if g == nil {
		return 0
	}
	return len(g.slots)
}

// add appends e, which is known not to be in g.
func (g *memberSet[M]) add(e *Entry[M]) {
	pos, at := uint32(len(g.slots)), uint32(len(e.in))
	if g.kind == KindAll {
		e.pos = pos
	} else {
		e.in = append(e.in, membership[M]{set: g, pos: pos})
	}
	g.slots = append(g.slots, slot[M]{entry: e, at: at})
	if len(g.slots) == 2 {
		g.one[0] = slot[M]{} // slots has moved away; keep no member alive from here
	}
}

// find returns the index of g in e's memberships, or -1. It searches the
// shorter of the two lists, so that neither a member of many rooms nor a room
// of many members makes joining slow.
func (g *memberSet[M]) find(e *Entry[M]) int {
	if len(g.slots) < len(e.in) {
		for _, s := range g.slots {
			if s.entry == e {
				return int(s.at)
			}
		}
		return -1
	}
	for i, m := range e.in {
		if m.set == g {
			return i
		}
	}
	return -1
}

// remove ends e's membership i, which is in g. In both lists the last element
// takes the free place, and its counterpart learns the new position.
func (g *memberSet[M]) remove(e *Entry[M], i int) {
	g.take(e.in[i].pos)

	last := len(e.in) - 1
	m := e.in[last]
	e.in[last] = membership[M]{}
	e.in = e.in[:last]
	if i < last {
		e.in[i] = m
		m.set.slots[m.pos].at = uint32(i)
	}
}

// take frees a slot.
func (g *memberSet[M]) take(pos uint32) {
	last := len(g.slots) - 1
	moved := g.slots[last]
	g.slots[pos] = moved
	if g.kind == KindAll {
		moved.entry.pos = pos
	} else {
		moved.entry.in[moved.at].pos = pos
	}
	g.slots[last] = slot[M]{}
	g.slots = g.slots[:last]
	g.shrink()
}

// shrink gives memory back after a crowd has left: a set holds at most four
// times what its members need.
func (g *memberSet[M]) shrink() {
	if n := len(g.slots); cap(g.slots) > keepSlots && n < cap(g.slots)/4 {
		g.slots = append(make([]slot[M], 0, 2*n), g.slots...)
	}
}
