package room

import (
	"slices"
	"strings"
)

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
	own, moreOwn := pageOf(&r.owners, prefix, after, limit, func(e *Entry[M]) Count { return Count{Name: e.id, Members: 1, ID: true} })
	if len(own) > len(page) {
		page, own = own, page
	}
	if len(own) > 0 {
		page = append(page, own...)
		slices.SortFunc(page, func(a, b Count) int { return strings.Compare(a.Name, b.Name) })
	}
	over := len(page) > limit
	return page[:min(limit, len(page))], over || more || moreOwn
}

// Users does for users what Rooms does for rooms.
func (r *Registry[M]) Users(prefix, after string, limit int) (page []Count, more bool) {
	return named(&r.userNames, prefix, after, limit)
}

func named[M any](sets *sorted[string, *memberSet[M]], prefix, after string, limit int) (page []Count, more bool) {
	return pageOf(sets, prefix, after, limit, func(g *memberSet[M]) Count { return Count{Name: g.name, Members: len(g.slots)} })
}

func pageOf[T any](items *sorted[string, T], prefix, after string, limit int, count func(T) Count) (page []Count, more bool) {
	if limit <= 0 {
		return nil, false
	}
	items.from(max(prefix, after), func(item T) bool {
		c := count(item)
		switch {
		case c.Name == after && after != "":
			return true
		case !strings.HasPrefix(c.Name, prefix):
			return false
		case len(page) == limit:
			more = true
			return false
		}
		page = append(page, c)
		return true
	})
	return page, more
}
