package room

import (
	"iter"
	"slices"
)

// Matcher tells for one member after the other whether a [Selector] describes it, without
// a Registry. It is safe for concurrent use.
type Matcher struct {
	all                        bool
	ids, users, rooms, excepts map[string]struct{} // nil: none
}

// NewMatcher returns the Matcher of s.
func NewMatcher(s Selector) *Matcher {
	return &Matcher{all: s.All, ids: setOf(s.IDs), users: setOf(s.Users), rooms: setOf(s.Rooms), excepts: setOf(s.Except)}
}

func setOf(names []string) map[string]struct{} {
	if len(names) == 0 {
		return nil
	}
	set := make(map[string]struct{}, len(names))
	for _, name := range names {
		set[name] = struct{}{}
	}
	return set
}

func has(set map[string]struct{}, name string) bool {
	_, ok := set[name]
	return ok
}

// Concerns reports whether it may depend on these rooms of a member whether it is described.
func (m *Matcher) Concerns(rooms []string) bool {
	return slices.ContainsFunc(rooms, func(name string) bool { return has(m.rooms, name) || has(m.excepts, name) })
}

// Match reports whether a member is described that has this id and user, which may be
// empty, and is in these rooms, in no particular order.
func (m *Matcher) Match(id, user string, rooms iter.Seq[string]) bool {
	in := m.all || has(m.ids, id) || user != "" && has(m.users, user)
	if m.excepts == nil && (in || m.rooms == nil) {
		return in
	}
	for name := range rooms {
		if has(m.excepts, name) {
			return false
		}
		in = in || has(m.rooms, name)
	}
	return in
}
