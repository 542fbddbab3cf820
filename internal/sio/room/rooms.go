package room

import "strings"

// Count is the name of a room, or a user, and its number of members.
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
	page, more = named(&r.names, prefix, after, limit)
	for i := range page {
		page[i].ID = r.ids[page[i].Name] != nil
	}
	return page, more
}

// Users does for users what Rooms does for rooms.
func (r *Registry[M]) Users(prefix, after string, limit int) (page []Count, more bool) {
	return named(&r.userNames, prefix, after, limit)
}

func named[M any](sets *sorted[string, *memberSet[M]], prefix, after string, limit int) (page []Count, more bool) {
	if limit <= 0 {
		return nil, false
	}
	begin := max(prefix, after)
	sets.from(begin, func(g *memberSet[M]) bool {
		switch {
		case g.name == after && after != "":
			return true
		case !strings.HasPrefix(g.name, prefix):
			return false
		case len(page) == limit:
			more = true
			return false
		}
		page = append(page, Count{Name: g.name, Members: len(g.slots)})
		return true
	})
	return page, more
}
