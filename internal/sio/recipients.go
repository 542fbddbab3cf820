package sio

// recipients passes the sockets that an emit selects on to what sends to one, a few at a
// time, after it has read from the memory of each what that will read. Where many
// connections are more than the processor's cache holds, it waits for the memory of all of
// them at once, and not for one after the other.
type recipients struct {
	waiting [16]*Socket // a room of nine fits, and what is read stays in the cache until it is used
	n       int         // of waiting
	read    int         // has the compiler keep what is read for nothing else
}

func (r *recipients) add(s *Socket, to func(*Socket)) {
	r.waiting[r.n] = s
	r.n++
	if r.n == len(r.waiting) {
		r.finish(to)
	}
}

// finish passes on those that wait.
func (r *recipients) finish(to func(*Socket)) {
	waiting := r.waiting[:r.n]
	r.n = 0
	for _, s := range waiting {
		r.read += int(s.encoding)
	}
	for _, s := range waiting {
		r.read += s.session.Prefetch()
	}
	for _, s := range waiting {
		to(s)
	}
	clear(waiting)
}
