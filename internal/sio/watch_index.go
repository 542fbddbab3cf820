package sio

import (
	"iter"
	"slices"
)

// watchIndex is the watches of a namespace, by what their targets are made of: a change
// concerns few of many. The namespace's lock guards it. The zero watchIndex is empty.
type watchIndex struct {
	all               []*watched
	everybody         []*watched // those of targets that are everybody
	rooms, users, ids map[string][]*watched
	asked             uint64 // counts changes
}

// of returns what w has of the namespace, or nil.
func (x *watchIndex) of(w *serverWatch) *watched {
	if i := slices.IndexFunc(x.all, func(p *watched) bool { return p.watch == w }); i >= 0 {
		return x.all[i]
	}
	return nil
}

func (x *watchIndex) add(p *watched) {
	x.all = append(x.all, p)
	sel := &p.watch.request.To.Selector
	if sel.All {
		x.everybody = append(x.everybody, p)
		return
	}
	addTo(&x.rooms, sel.Rooms, p)
	addTo(&x.users, sel.Users, p)
	addTo(&x.ids, sel.IDs, p)
}

func addTo(index *map[string][]*watched, names []string, p *watched) {
	if *index == nil && len(names) > 0 {
		*index = map[string][]*watched{}
	}
	for _, name := range names {
		(*index)[name] = append((*index)[name], p)
	}
}

// remove removes what w has of the namespace, if it has something.
func (x *watchIndex) remove(w *serverWatch) {
	p := x.of(w)
	if p == nil {
		return
	}
	x.all, x.everybody = without(x.all, p), without(x.everybody, p)
	sel := &w.request.To.Selector
	removeFrom(x.rooms, sel.Rooms, p)
	removeFrom(x.users, sel.Users, p)
	removeFrom(x.ids, sel.IDs, p)
}

func removeFrom(index map[string][]*watched, names []string, p *watched) {
	for _, name := range names {
		if index[name] = without(index[name], p); len(index[name]) == 0 {
			delete(index, name)
		}
	}
}

// changed tells of a change those whose target may have the connection, or have had it.
func (x *watchIndex) changed(c *Change) {
	for _, p := range x.everybody {
		p.changedLocked(c)
	}
	if len(x.everybody) == len(x.all) {
		return
	}
	x.asked++
	s := c.Socket
	var user string
	var rooms iter.Seq[string]
	if c.Kind == ConnectionRemoved {
		user, rooms = *s.user.Load(), slices.Values(s.rooms)
	} else {
		user, rooms = s.entry.User(), s.entry.EachRoom
	}
	x.tell(x.ids[s.id], c)
	x.tell(x.users[user], c)
	if c.User != nil {
		x.tell(x.users[*c.User], c)
	}
	if len(x.rooms) == 0 {
		return
	}
	for name := range rooms {
		x.tell(x.rooms[name], c)
	}
	if c.Kind == ConnectionLeft {
		for _, name := range c.Rooms {
			x.tell(x.rooms[name], c)
		}
	}
}

// tell tells those who were not told of this change before.
func (x *watchIndex) tell(some []*watched, c *Change) {
	for _, p := range some {
		if p.asked != x.asked {
			p.asked = x.asked
			p.changedLocked(c)
		}
	}
}
