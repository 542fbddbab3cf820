package room

import (
	"cmp"
	"math"
	"slices"
)

// Scan walks the members that a [Selector] describes piece by piece, so that
// the caller may release its lock between two pieces. It is exact for members that
// are described all the while; what comes or goes meanwhile may be found or not. A
// member that several parts of the Selector name is found once for each of them.
type Scan[M any] struct {
	sel   Selector
	limit int    // of members from one part; 0: all
	after uint64 // where each part begins

	part  int    // the one under way: rooms, ids and users are counted through
	at    uint64 // the sequence number that the scan of it has come to
	found int    // members that it gave
}

// NewScan returns a Scan of the members with sequence numbers above after; see
// [Entry.Seq]. Of each part of s it gives the first limit ones in this order; 0:
// all.
func NewScan[M any](s Selector, after uint64, limit int) *Scan[M] {
	return &Scan[M]{sel: s, limit: limit, after: after, at: after}
}

// Position is the sequence number up to which the part that is under way has been looked
// at.
func (c *Scan[M]) Position() uint64 { return c.at }

// Next calls yield for the next members, looks at no more than budget of them,
// and reports whether there may be more. It costs about as much as it looks at.
// yield must not change memberships.
func (r *Registry[M]) Next(c *Scan[M], budget int, yield func(*Entry[M])) (more bool) {
	s := &c.sel
	parts := len(s.Rooms) + len(s.IDs) + len(s.Users)
	if s.All {
		parts = 1
	}
	for ; c.part < parts; c.part, c.at, c.found = c.part+1, c.after, 0 {
		if budget <= 0 {
			return true
		}
		budget-- // a part without members costs too
		g, one := r.part(s, c.part)
		whole := r.nextOf(c, g, one, &budget, yield)
		if !whole {
			return true
		}
	}
	return false
}

// nextOf goes on with one part, a set or one member, and reports whether it has come to its
// end.
func (r *Registry[M]) nextOf(c *Scan[M], g *memberSet[M], one *Entry[M], budget *int, yield func(*Entry[M])) (whole bool) {
	whole = true
	visit := func(e *Entry[M]) bool {
		switch {
		case c.limit > 0 && c.found == c.limit:
			return false
		case *budget <= 0:
			whole = false
			return false
		}
		*budget--
		c.at = e.seq
		if !r.excepted(e, c.sel.Except) {
			c.found++
			yield(e)
		}
		return true
	}
	switch {
	case g == nil && one != nil && one.seq > c.at:
		visit(one)
	case g != nil && c.at < math.MaxUint64: // a listing that is continued begins behind this
		r.ascend(g, c.at+1, visit)
	}
	return whole
}

// part returns the i-th set of those that s is the union of, or the one member of it where
// that is no set; neither: nobody is in it.
func (r *Registry[M]) part(s *Selector, i int) (*memberSet[M], *Entry[M]) {
	switch {
	case s.All:
		return &r.all, nil
	case i < len(s.Rooms):
		if g := r.rooms[s.Rooms[i]]; g != nil {
			return g, nil
		}
		return nil, r.owner(s.Rooms[i])
	case i < len(s.Rooms)+len(s.IDs):
		return nil, r.ids[s.IDs[i-len(s.Rooms)]]
	}
	return r.users[s.Users[i-len(s.Rooms)-len(s.IDs)]], nil
}

// excepted reports whether e is in one of the rooms.
func (r *Registry[M]) excepted(e *Entry[M], rooms []string) bool {
	return slices.ContainsFunc(rooms, func(name string) bool { return r.has(name, e) })
}

// Count returns how many members s describes if that is known without looking at
// them: it is for everybody, one room, one user and one id.
func (r *Registry[M]) Count(s Selector) (n int, known bool) {
	parts := len(s.Rooms) + len(s.IDs) + len(s.Users)
	switch {
	case len(s.Except) > 0:
		return 0, false
	case s.All:
		return r.Len(), true
	case parts == 0:
		return 0, true
	case parts > 1:
		return 0, false
	}
	g, one := r.part(&s, 0)
	if one != nil {
		return 1, true
	}
	return g.len(), true
}

// Sets of more than orderAbove members have an index by sequence number, until
// they have fewer than orderBelow: smaller ones are sorted when they are scanned.
const (
	orderAbove = 64
	orderBelow = 32
)

// ascend calls yield for the members of g with this sequence number or above, in
// its order, until it returns false.
func (r *Registry[M]) ascend(g *memberSet[M], seq uint64, yield func(*Entry[M]) bool) {
	if o := r.ordered[g]; o != nil {
		o.from(seq, yield)
		return
	}
	var list [orderAbove]*Entry[M]
	few := list[:0]
	for _, s := range g.slots {
		if s.entry.seq >= seq {
			few = append(few, s.entry)
		}
	}
	slices.SortFunc(few, func(a, b *Entry[M]) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range few {
		if !yield(e) {
			return
		}
	}
}

// index keeps the order of g, to which e was added.
func (r *Registry[M]) index(g *memberSet[M], e *Entry[M]) {
	if len(g.slots) < orderBelow {
		return // it has none
	}
	o := r.ordered[g]
	switch {
	case o != nil:
		o.insert(e)
	case len(g.slots) > orderAbove:
		o = &sorted[uint64, *Entry[M]]{key: (*Entry[M]).Seq}
		for _, s := range g.slots {
			o.insert(s.entry)
		}
		r.ordered[g] = o
	}
}

// unindex keeps the order of g, which e was removed from.
func (r *Registry[M]) unindex(g *memberSet[M], e *Entry[M]) {
	if len(g.slots) < orderBelow-1 {
		return // it has had none since it had one member more
	}
	switch o := r.ordered[g]; {
	case o == nil:
	case len(g.slots) < orderBelow:
		delete(r.ordered, g)
	default:
		o.remove(e.seq)
	}
}
