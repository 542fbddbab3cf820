package sio

import "slices"

// end is a membership that an operation ended and that the backend has not heard
// of. A conn has a list of them, the latest first.
type end struct {
	socket *Socket
	reason string
	next   *end
}

// serially runs f, which is something that this browser does, alone: nothing
// else of this conn's runs meanwhile. The backend hears first of what had ended
// before, and afterwards of what ended meanwhile.
func (c *conn) serially(f func()) {
	defer c.tellEnds()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tellEndsLocked()
	f()
}

// ended notes that an operation ended s's membership. The backend hears of it
// with the next tellEnds.
func (c *conn) ended(s *Socket, reason string) {
	e := &end{socket: s, reason: reason}
	for {
		e.next = c.ends.Load()
		if c.ends.CompareAndSwap(e.next, e) {
			return
		}
	}
}

// tellEnds tells the backend of what has ended, unless it is busy with this
// browser: then whoever holds c.mu does so next. It may be called by anybody who
// does not hold c.mu, and waits for the backend alone.
func (c *conn) tellEnds() {
	for c.ends.Load() != nil && c.mu.TryLock() {
		c.tellEndsLocked()
		c.mu.Unlock()
	}
}

func (c *conn) tellEndsLocked() {
	var list []*end
	for e := c.ends.Swap(nil); e != nil; e = e.next {
		list = append(list, e)
	}
	for _, e := range slices.Backward(list) {
		c.tellLocked(e.socket, e.reason)
	}
}

// tellLocked tells the backend that s, which was a member, is one no more.
func (c *conn) tellLocked(s *Socket, reason string) {
	c.server.backend.Disconnected(s, reason)
	if s.offline != nil {
		s.offline.number = s.number
		close(s.offline.reported)
	}
}
