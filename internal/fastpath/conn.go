package fastpath

import (
	"errors"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/stack"
)

// conn is a connection until it ends, is hijacked, or net/http has it.
type conn struct {
	socket
	listener *listener
	state    atomic.Int32
}

// The states of a conn. A shutdown closes those that wait.
//
//	from      to        by
//	waiting   serving   its goroutine: there is something to read
//	waiting   ended     Shutdown
const (
	waiting int32 = iota // for a request
	serving              // one, or leaving it to net/http
	ended
)

// run serves a new connection, or leaves it to net/http.
func (c *conn) run() {
	stack.Reserve()
	s := c.listener.server
	if !s.add(c) {
		c.Close()
		return
	}
	defer s.remove(c)
	if d := s.headerTimeout(); d > 0 {
		c.SetReadDeadline(time.Now().Add(d))
	}
	b := peek(c)
	if b == nil {
		c.Close()
		return
	}
	if !c.state.CompareAndSwap(waiting, serving) {
		b.release()
		return
	}
	r := b.take(c.socket)
	b.release()
	c.SetReadDeadline(time.Time{})
	if r == nil {
		c.listener.pass(accepted{conn: c.socket})
		return
	}
	s.handshake(c.socket, r)
}

// headerTimeout is how long a connection may take to send its first bytes, and then to
// take an answer that is not a WebSocket; 0: any time.
func (s *Server) headerTimeout() time.Duration {
	if s.ReadHeaderTimeout == 0 {
		return s.ReadTimeout // as net/http
	}
	return s.ReadHeaderTimeout
}

// handshake has the handler answer a handshake.
func (s *Server) handshake(c socket, r *http.Request) {
	w := &response{conn: c, header: http.Header{}}
	defer func() {
		switch p := recover(); {
		case p != nil:
			if err, _ := p.(error); !errors.Is(err, http.ErrAbortHandler) {
				s.opts.Logger.Error("a WebSocket handshake caused a panic", "remote", c.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
			}
			c.Close()
		case !w.hijacked:
			if d := s.headerTimeout(); d > 0 {
				c.SetDeadline(time.Now().Add(d))
			}
			w.send(r)
			c.Close()
		}
	}()
	s.Handler.ServeHTTP(w, r)
}
