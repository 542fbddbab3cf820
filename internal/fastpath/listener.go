package fastpath

import (
	"net"
	"sync"
	"syscall"
)

// listener serves what it can, and gives all other connections to net/http by Accept.
type listener struct {
	net.Listener
	server *Server
	rest   chan accepted
	done   chan struct{} // closed by Close
	once   sync.Once     // closes done
}

// socket is a connection that can be peeked at.
type socket interface {
	net.Conn
	syscall.Conn
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// listen begins to accept connections from l.
func (s *Server) listen(l net.Listener) *listener {
	f := &listener{Listener: l, server: s, rest: make(chan accepted), done: make(chan struct{})}
	go f.run() // until Close
	return f
}

// Accept returns the next connection for net/http.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.rest:
		return a.conn, a.err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close closes the listener, and the connections that net/http was to get and has not got.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.done)
		err = l.Listener.Close()
	})
	return err
}

// run accepts until the listener is closed. Errors are left to net/http, which
// calls Accept again after a pause if they may pass; so run pauses, too.
func (l *listener) run() {
	for {
		c, err := l.Listener.Accept()
		if s, ok := c.(socket); ok && canPeek {
			go (&conn{socket: s, listener: l}).run() // until its end, or until it is another's
			continue
		}
		if !l.pass(accepted{c, err}) {
			return
		}
	}
}

// pass gives a connection or an error to net/http. It reports false, and closes
// the connection, when the listener is closed.
func (l *listener) pass(a accepted) bool {
	select {
	case l.rest <- a:
		return true
	case <-l.done:
		if a.conn != nil {
			a.conn.Close()
		}
		return false
	}
}
