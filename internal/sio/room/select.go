package room

// Select calls yield once for every member s describes, in no particular
// order. It walks slices, allocates nothing, and needs marks only where parts
// of s may overlap: a single room is its slice and nothing else.
//
// While it runs, yield must not change memberships and not select again. A
// selection writes marks: concurrent ones are as wrong as concurrent joins.
func (r *Registry[M]) Select(s Selector, yield func(*Entry[M])) {
	parts := len(s.Rooms) + len(s.IDs) + len(s.Users)
	if s.All {
		parts = 1
	}
	if parts == 0 {
		return
	}
	w := walk[M]{yield: yield}
	if parts > 1 || len(s.Except) > 0 {
		r.epoch++
		w.epoch = r.epoch
	}
	for _, room := range s.Except {
		if g := r.rooms[room]; g != nil {
			for _, sl := range g.slots {
				sl.entry.mark = w.epoch
			}
		} else if e := r.owner(room); e != nil {
			e.mark = w.epoch
		}
	}
	if s.All {
		w.set(&r.all)
		return
	}
	for _, room := range s.Rooms {
		if g := r.rooms[room]; g != nil {
			w.set(g)
		} else if e := r.owner(room); e != nil {
			w.entry(e)
		}
	}
	for _, id := range s.IDs {
		if e := r.ids[id]; e != nil {
			w.entry(e)
		}
	}
	for _, user := range s.Users {
		w.set(r.users[user])
	}
}

// walk is one selection under way.
type walk[M any] struct {
	yield func(*Entry[M])
	epoch uint64 // 0: nothing overlaps, marks are not needed
}

func (w *walk[M]) set(g *memberSet[M]) {
	if g == nil {
		return
	}
	if w.epoch == 0 {
		for _, s := range g.slots {
			w.yield(s.entry)
		}
		return
	}
	for _, s := range g.slots {
		w.entry(s.entry)
	}
}

func (w *walk[M]) entry(e *Entry[M]) {
	if w.epoch != 0 {
		if e.mark == w.epoch {
			return
		}
		e.mark = w.epoch
	}
	w.yield(e)
}
