package room

import "strings"

// Count is a room's name and its number of members.
type Count struct {
	Name    string
	Members int
	ID      bool // the name is a member's id
}

// Rooms returns up to limit rooms whose names start with prefix and come after
// after, ordered by name bytewise, and whether there are more. An empty after
// starts at the beginning; a limit below 1 asks for nothing. Pages stay exact
// while rooms come and go: a room that stays is listed once.
func (r *Registry[M]) Rooms(prefix, after string, limit int) (page []Count, more bool) {
	if limit <= 0 {
		return nil, false
	}
	begin := max(prefix, after)
	r.names.from(begin, func(g *memberSet[M]) bool {
		switch {
		case g.name == after && after != "":
			return true
		case !strings.HasPrefix(g.name, prefix):
			return false
		case len(page) == limit:
			more = true
			return false
		}
		page = append(page, Count{Name: g.name, Members: len(g.slots), ID: r.ids[g.name] != nil})
		return true
	})
	return page, more
}
