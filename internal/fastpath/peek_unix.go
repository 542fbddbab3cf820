//go:build unix

package fastpath

import "syscall"

// canPeek says whether this system can peek at connections.
const canPeek = true

// peek waits until more than seen bytes can be read, and returns a buffer with what can be read
// then, which stays in the socket. With less, or nothing, the buffer is the last: the
// connection has ended, or the deadline has passed. While it waits it occupies no buffer.
func (c *conn) peek(seen int) *buffer {
	if c.call.look == nil {
		c.call.look = c.look
	}
	c.call.seen, c.call.into = seen, nil
	err := c.raw.Read(c.call.look)
	b := c.call.into
	c.call.into = nil
	if b == nil {
		b = buffers.Get().(*buffer)
		b.peeked = 0
	}
	b.last = err != nil || b.peeked <= seen
	return b
}

// look is one look of peek. It reports whether that is over.
func (c *conn) look(fd uintptr) bool {
	b := buffers.Get().(*buffer)
	n, errno := recv(fd, b.head[:], syscall.MSG_PEEK)
	if errno == syscall.EAGAIN || errno == syscall.EINTR || 0 < n && n <= c.call.seen && !hungUp(fd) {
		b.release()
		return false
	}
	b.peeked, c.call.into = n, b
	return true
}

// skip takes the first n bytes, which b has seen, from the connection.
func (c *conn) skip(b *buffer, n int) bool {
	return c.transfer(receive, b.head[:n]) == n
}

// tryWrite writes as much of b as the connection takes at once.
func (c *conn) tryWrite(b []byte) int { return c.transfer(send, b) }

func receive(fd uintptr, b []byte) (int, syscall.Errno) { return recv(fd, b, 0) }

// transfer makes one system call, which does not wait, and returns the bytes that it moved.
func (c *conn) transfer(by func(uintptr, []byte) (int, syscall.Errno), b []byte) int {
	if c.call.move == nil {
		c.call.move = func(fd uintptr) { c.call.moved, _ = c.call.by(fd, c.call.data) }
	}
	c.call.by, c.call.data, c.call.moved = by, b, 0
	_ = c.raw.Control(c.call.move)
	c.call.data = nil
	return c.call.moved
}

// atEnd reports whether there is nothing more to read from the connection, and will not be.
func (c *conn) atEnd() bool {
	end := false
	err := c.raw.Control(func(fd uintptr) {
		var b [1]byte
		n, errno := recv(fd, b[:], syscall.MSG_PEEK)
		end = n == 0 && errno != syscall.EAGAIN && errno != syscall.EINTR
	})
	return end || err != nil
}
