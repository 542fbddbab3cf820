package room

import (
	"slices"
	"strings"
)

// Count is a room's name and its number of members.
type Count struct {
	Name    string
	Members int
}

// Rooms returns up to limit rooms whose names start with prefix and come after
// after, ordered by name bytewise, and whether there are more. An empty after
// starts at the beginning; a limit below 1 asks for nothing. Pages stay exact while rooms come and go: a room
// that stays is listed once.
//
// It looks at every room, so that membership changes, which are far more
// frequent, need not keep an order.
func (r *Registry[M]) Rooms(prefix, after string, limit int) (page []Count, more bool) {
	if limit <= 0 {
		return nil, false
	}
	// page gathers candidates and is cut back to the first limit of them when
	// it holds twice as many; from then on only names before last can matter.
	// That is near linear work and bounded memory.
	last := ""
	for name, g := range r.rooms {
		if (after != "" && name <= after) || (more && name > last) || !strings.HasPrefix(name, prefix) {
			continue
		}
		page = append(page, Count{Name: name, Members: len(g.slots)})
		if len(page)/2 >= limit {
			page, more = firstByName(page, limit), true
			last = page[limit-1].Name
		}
	}
	more = more || len(page) > limit
	return firstByName(page, limit), more
}

func firstByName(page []Count, limit int) []Count {
	slices.SortFunc(page, func(a, b Count) int { return strings.Compare(a.Name, b.Name) })
	return page[:min(limit, len(page))]
}
