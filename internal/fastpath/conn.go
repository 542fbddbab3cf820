package fastpath

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fanoutd/fanoutd/internal/netpoll"
	"github.com/fanoutd/fanoutd/internal/stack"
)

// conn is a connection until it ends, is hijacked, or net/http has it. One goroutine serves
// its requests, one after the other.
type conn struct {
	socket
	listener *listener
	raw      syscall.RawConn
	state    atomic.Int32

	// Its goroutine's.
	remote    string          // the peer's address
	polls     context.Context // what the contexts of polls derive from; nil: there was none
	hangUp    *netpoll.HangUp // set with it: says when the peer leaves
	few       int             // so many bytes are no beginning of a request yet
	tolerated int             // CR and LF that may come before the next request
	readBy    time.Time       // the read deadline in force
	call      call

	mu     sync.Mutex
	cancel context.CancelFunc // ends the context of the poll that is served; nil: there is none
	left   bool               // the peer has left, or the connection was closed
}

// call has what a system call needs to allocate nothing.
type call struct {
	look func(fd uintptr) bool // conn.look, made once
	seen int
	into *buffer

	move  func(fd uintptr) // made once: calls by
	by    func(fd uintptr, b []byte) (int, syscall.Errno)
	data  []byte
	moved int
}

// The states of a conn. A shutdown closes those that wait.
//
//	from      to        by
//	waiting   serving   its goroutine: there is something to read
//	serving   waiting   its goroutine, after a poll
//	waiting   closed    Shutdown, or its goroutine during one
const (
	waiting int32 = iota // for a request
	serving              // one, or leaving it to net/http
	closed
)

// run serves a new connection, until its end or until it is another's.
func (c *conn) run() {
	stack.Reserve()
	s := c.listener.server
	raw, err := c.SyscallConn()
	if err != nil || !s.add(c) {
		c.Close()
		return
	}
	defer s.remove(c)
	c.raw, c.remote = raw, c.RemoteAddr().String()
	c.readWithin(s.headerTimeout())
	for c.next() {
		c.state.Store(waiting)
		if s.closing.Load() && c.state.CompareAndSwap(waiting, closed) {
			c.end()
			return
		}
		c.readWithin(s.idleTimeout())
	}
}

// next serves the next request. It reports whether there may be another.
func (c *conn) next() bool {
	b := c.await()
	if b == nil {
		return c.end()
	}
	r, handshake := b.request, b.handshake
	served := r != nil && (handshake || c.watch()) && c.skip(b, b.length)
	b.release()
	if !served {
		return c.leave()
	}
	c.identify(r)
	if handshake {
		c.quit()
		c.handshake(r)
		return false
	}
	return c.poll(r)
}

// await returns a buffer that begins as the next request does, with all of it if it is to be
// served here; nil if the connection is to end.
func (c *conn) await() *buffer {
	b := c.peek(c.few)
	if b.peeked <= c.few || !c.state.CompareAndSwap(waiting, serving) { // at its end, silent for too long, or closed
		b.release()
		return nil
	}
	if n := b.blank(c.tolerated); n > 0 {
		c.skip(b, n)
		b.release()
		c.readWithin(c.listener.server.pieces) // a shutdown does not close it any more
		b = c.peek(0)
	}
	for again := false; b.parse(c.listener.server.opts.PollPath) && !b.last; again = true {
		if !again {
			c.readWithin(c.listener.server.pieces)
		}
		seen := max(b.peeked, b.length-1)
		b.release()
		b = c.peek(seen)
	}
	return b
}

// identify says whose request it is. A connection that says so itself (Secure) came by
// TLS, up to a proxy.
func (c *conn) identify(r *http.Request) {
	r.RemoteAddr = c.remote
	if proxied, ok := c.socket.(interface{ Secure() bool }); ok && proxied.Secure() {
		r.TLS = byTLS
	}
}

// readWithin gives the peer d to send something; 0: any time. A deadline that is hardly earlier is
// left as it is, so that most polls set none.
func (c *conn) readWithin(d time.Duration) {
	switch now := time.Now(); {
	case d <= 0 && c.readBy.IsZero():
	case d <= 0:
		c.readBy = time.Time{}
		c.SetReadDeadline(c.readBy)
	case c.readBy.IsZero() || c.readBy.Sub(now) > d || c.readBy.Sub(now) < d-d/64:
		c.readBy = now.Add(d)
		c.SetReadDeadline(c.readBy)
	}
}

// quit gives up what this package has set, for another's use of the connection.
func (c *conn) quit() {
	c.readWithin(0)
	c.unwatch()
}

// leave gives the connection to net/http. It returns false: there is nothing more to do here.
func (c *conn) leave() bool {
	c.quit()
	c.listener.pass(accepted{conn: c.socket})
	return false
}

// end closes the connection. It returns false likewise.
func (c *conn) end() bool {
	c.unwatch()
	c.Close()
	return false
}

// watch has the poll that is served hear of its client's leaving. It reports false where
// that is not possible.
func (c *conn) watch() bool {
	if c.hangUp != nil {
		return true
	}
	s := c.listener.server
	if c.hangUp = s.poller.OnHangUp(c.socket, c.peerLeft); c.hangUp == nil {
		return false
	}
	c.polls = context.WithValue(context.WithValue(context.Background(), http.ServerContextKey, s.Server), http.LocalAddrContextKey, c.LocalAddr())
	return true
}

func (c *conn) unwatch() {
	if c.hangUp != nil {
		c.hangUp.Stop()
		c.hangUp = nil
	}
}

// peerLeft cancels the poll that is served, as net/http would: not if the client has sent
// another request before it left.
func (c *conn) peerLeft() {
	c.mu.Lock()
	c.left = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil && c.atEnd() {
		cancel()
	}
}

// begin makes cancel the way to end the poll that is served; nil: it is over.
func (c *conn) begin(cancel context.CancelFunc) {
	c.mu.Lock()
	c.cancel = cancel
	left := c.left
	c.mu.Unlock()
	if left && cancel != nil && c.atEnd() {
		cancel()
	}
}

// abort closes the connection while its goroutine may be at work.
func (c *conn) abort() {
	c.mu.Lock()
	c.left = true // for a poll that is just to begin
	cancel := c.cancel
	c.mu.Unlock()
	c.Close()
	if cancel != nil {
		cancel()
	}
}
