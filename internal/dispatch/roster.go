package dispatch

import "sync"

// roster lists the connections that are members of their namespaces, in the order in
// which they came, for those that walk it piece by piece while it changes. Its zero
// value is empty; it is safe for concurrent use.
type roster struct {
	mu    sync.Mutex  // a leaf
	ring  rosterPlace // before the first and after the last; of nobody
	added uint64      // clients so far
}

// rosterPlace is a place in a roster: a client's, or where a walk has come to.
type rosterPlace struct {
	previous, next *rosterPlace // nil: it is in no roster
	client         *client      // nil: a walk's
	order          uint64       // of clients, as they were added
}

// insertLocked puts p behind another place.
func (r *roster) insertLocked(p, behind *rosterPlace) {
	p.previous, p.next = behind, behind.next
	p.previous.next, p.next.previous = p, p
}

func (r *roster) removeLocked(p *rosterPlace) {
	p.previous.next, p.next.previous = p.next, p.previous
	p.previous, p.next = nil, nil
}

// ringLocked returns the ring, which begins as one place.
func (r *roster) ringLocked() *rosterPlace {
	if r.ring.next == nil {
		r.ring.previous, r.ring.next = &r.ring, &r.ring
	}
	return &r.ring
}

// add puts c, which is not in the roster, at its end.
func (r *roster) add(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.added++
	c.place.client, c.place.order = c, r.added
	r.insertLocked(&c.place, r.ringLocked().previous)
}

// remove takes c out, if it is there.
func (r *roster) remove(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.place.next != nil {
		r.removeLocked(&c.place)
	}
}

// has reports whether c is there.
func (r *roster) has(c *client) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.place.next != nil
}

// walk is a way through the connections that were there when it began. Its place is
// one of the list, so it stays where it is whatever is added or removed.
type walk struct {
	roster *roster
	place  rosterPlace
	last   uint64 // the order of the last one
}

// walk begins before the first connection. It is to be ended.
func (r *roster) walk() *walk {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := &walk{roster: r, last: r.added}
	r.insertLocked(&w.place, r.ringLocked())
	return w
}

// next returns the next connection, nil if there is none.
func (w *walk) next() *client {
	r := w.roster
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := w.place.next; p != &r.ring; p = p.next {
		if p.client == nil {
			continue // another walk
		}
		if p.order > w.last {
			break
		}
		r.removeLocked(&w.place)
		r.insertLocked(&w.place, p)
		return p.client
	}
	return nil
}

// end gives the walk's place up.
func (w *walk) end() {
	w.roster.mu.Lock()
	defer w.roster.mu.Unlock()
	w.roster.removeLocked(&w.place)
}
