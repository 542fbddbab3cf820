package dispatch

import (
	"container/list"
	"sync"
)

// roster lists the connections that are members of their namespaces, in the order in
// which they came, for those that walk it piece by piece while it changes. Its zero
// value is empty; it is safe for concurrent use.
type roster struct {
	mu    sync.Mutex // a leaf
	list  list.List  // of *client, and of *walk where that has come to
	added uint64     // clients so far
}

// add puts c, which is not in the roster, at its end.
func (r *roster) add(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.added++
	c.order = r.added
	c.place = r.list.PushBack(c)
}

// remove takes c out, if it is there.
func (r *roster) remove(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.place != nil {
		r.list.Remove(c.place)
		c.place = nil
	}
}

// has reports whether c is there.
func (r *roster) has(c *client) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.place != nil
}

// walk is a way through the connections that were there when it began. Its place is
// an element of the list, so it stays where it is whatever is added or removed.
type walk struct {
	roster *roster
	place  *list.Element
	last   uint64 // the order of the last one
}

// walk begins before the first connection. It is to be ended.
func (r *roster) walk() *walk {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &walk{roster: r, last: r.added}
	w.place = r.list.PushFront(w)
	return w
}

// next returns the next connection, nil if there is none.
func (w *walk) next() *client {
	w.roster.mu.Lock()
	defer w.roster.mu.Unlock()
	for e := w.place.Next(); e != nil; e = e.Next() {
		c, ok := e.Value.(*client)
		if !ok {
			continue // another walk
		}
		if c.order > w.last {
			break
		}
		w.roster.list.MoveAfter(w.place, e)
		return c
	}
	return nil
}

// end gives the walk's place up.
func (w *walk) end() {
	w.roster.mu.Lock()
	defer w.roster.mu.Unlock()
	w.roster.list.Remove(w.place)
}
