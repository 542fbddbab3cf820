package sio

import "slices"

// end is a membership that an operation ended and that the backend has not heard
// of. A conn has a list of them, the latest first.
type end struct {
	socket *Socket
	why    End
	next   *end
}

// exclusively runs f, which is something that this browser does, alone: nothing
// else of this conn's runs meanwhile. The backend hears first of what had ended
// before, and afterwards of what ended meanwhile.
func (c *conn) exclusively(f func()) {
	defer c.reportEnds()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reportEndsLocked()
	f()
}

// ended notes that an operation ended s's membership. The backend hears of it
// with the next reportEnds.
func (c *conn) ended(s *Socket, why End) {
	e := &end{socket: s, why: why}
	for {
		e.next = c.ends.Load()
		if c.ends.CompareAndSwap(e.next, e) {
			return
		}
	}
}

// reportEnds tells the backend of what has ended, unless it is busy with this
// browser: then the holder of c.mu does so next. It may be called by anybody who
// does not hold c.mu, and waits for the backend alone.
func (c *conn) reportEnds() {
	for c.ends.Load() != nil && c.mu.TryLock() {
		func() {
			defer c.mu.Unlock()
			c.reportEndsLocked()
		}()
	}
}

func (c *conn) reportEndsLocked() {
	var list []*end
	for e := c.ends.Swap(nil); e != nil; e = e.next {
		list = append(list, e)
	}
	for _, e := range slices.Backward(list) {
		c.reportEndLocked(e.socket, e.why)
	}
}

// reportEndLocked tells the backend that s, which was a member, is one no more.
func (c *conn) reportEndLocked(s *Socket, why End) {
	c.disconnected(s, why)
	if s.offline != nil {
		s.offline.number = s.number.Load()
		close(s.offline.reported)
		s.nsp.recovery.endReported(s.offline)
	}
}
