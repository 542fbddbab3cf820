package proxyprotocol

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// Options of a [Listener]. All are required.
type Options struct {
	// Trusted reports whether what a peer says is believed. All others are refused. It
	// is called for each connection, from one goroutine.
	Trusted func(peer net.Addr) bool
	// Timeout is how long the header may take.
	Timeout time.Duration
	// Refused is told of connections that are closed as their peer is not trusted, or as
	// they begin with no header that is right. It may be called from several goroutines at
	// once.
	Refused func(peer net.Addr, err error)
}

// ErrNotTrusted is why connections of others than trusted proxies are refused.
var ErrNotTrusted = errors.New("the address is not that of a trusted proxy")

// Listener accepts connections whose RemoteAddr is the client's that a proxy serves, or
// the proxy's own where it speaks for itself.
type Listener struct {
	net.Listener
	opts  Options
	ready chan accepted
	done  chan struct{} // closed by Close

	mu      sync.Mutex
	waiting map[net.Conn]struct{} // connections whose header has not come
	closed  bool
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// Listen begins to accept connections from l, which is one of TCP or of a unix socket.
func Listen(l net.Listener, opts Options) *Listener {
	p := &Listener{
		Listener: l, opts: opts,
		ready: make(chan accepted), done: make(chan struct{}),
		waiting: map[net.Conn]struct{}{},
	}
	go p.run() // until Close
	return p
}

// Accept returns the next connection whose header has come. A slow one holds up no other.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.ready:
		return a.conn, a.err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close closes the listener and the connections that Accept has not returned.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.closed = true
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	close(l.done)
	for c := range waiting {
		c.Close()
	}
	return l.Listener.Close()
}

// run accepts until the listener is closed. Errors are left to who calls Accept, which
// may pause and call again; so run pauses, too.
func (l *Listener) run() {
	for {
		c, err := l.Listener.Accept()
		s, ok := c.(socket)
		switch {
		case err != nil:
			if !l.pass(accepted{nil, err}) {
				return
			}
		case !ok:
			c.Close() // no listener of TCP or of a unix socket returns one
		case !l.opts.Trusted(c.RemoteAddr()):
			c.Close()
			l.opts.Refused(c.RemoteAddr(), ErrNotTrusted)
		default:
			go l.receive(s) // until it is accepted or timed out
		}
	}
}

// pass gives a connection or an error to who calls Accept. It reports false, and closes
// the connection, when the listener is closed.
func (l *Listener) pass(a accepted) bool {
	select {
	case l.ready <- a:
		return true
	case <-l.done:
		if a.conn != nil {
			a.conn.Close()
		}
		return false
	}
}

// receive reads the header of a new connection and passes it on.
func (l *Listener) receive(s socket) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		s.Close()
		return
	}
	l.waiting[s] = struct{}{}
	l.mu.Unlock()
	s.SetReadDeadline(time.Now().Add(l.opts.Timeout))
	client, secure, err := readHeader(s)
	s.SetReadDeadline(time.Time{})
	l.mu.Lock()
	delete(l.waiting, s)
	closed := l.closed
	l.mu.Unlock()
	switch {
	case closed:
		s.Close()
	case err != nil:
		s.Close()
		l.opts.Refused(s.RemoteAddr(), err)
	case client == nil:
		l.pass(accepted{conn: s})
	default:
		l.pass(accepted{conn: &Conn{s, client, secure}})
	}
}

// socket is a *net.TCPConn or a *net.UnixConn, or on top of one.
type socket interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// Conn is a connection of a proxy for a client.
type Conn struct {
	socket
	client net.Addr
	secure bool
}

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.client }

// Secure reports whether the proxy said that the client came by TLS (PP2_TYPE_SSL of
// version 2).
func (c *Conn) Secure() bool { return c.secure }

// TCP returns the connection to the proxy, with the proxy's address; nil if it is one of
// a unix socket.
func (c *Conn) TCP() *net.TCPConn {
	switch s := c.socket.(type) {
	case *net.TCPConn:
		return s
	case interface{ TCP() *net.TCPConn }:
		return s.TCP()
	}
	return nil
}
