package wsaccept

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/fanoutd/fanoutd/internal/stack"
)

// Options of a [Listener].
type Options struct {
	// Handler serves WebSocket handshakes. Its ResponseWriter can be hijacked. The
	// request's context is never done.
	Handler http.Handler
	// Timeout is how long a connection may take to send its first bytes, and then to
	// take an answer that is not a WebSocket.
	Timeout time.Duration
	// Logger is told of panics in Handler.
	Logger *slog.Logger
}

// Listener serves WebSocket handshakes, and gives all other connections to
// net/http by Accept. It is for one [http.Server]'s Serve.
type Listener struct {
	net.Listener
	opts Options
	rest chan accepted
	done chan struct{} // closed by Close

	mu     sync.Mutex
	silent map[conn]struct{} // connections that have sent nothing yet
	closed bool
}

// conn is a connection whose socket can be peeked at.
type conn interface {
	net.Conn
	syscall.Conn
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// Listen begins to accept connections from l.
func Listen(l net.Listener, opts Options) *Listener {
	f := &Listener{
		Listener: l, opts: opts,
		rest: make(chan accepted), done: make(chan struct{}),
		silent: map[conn]struct{}{},
	}
	go f.run() // until Close
	return f
}

// Accept returns the next connection for net/http.
func (f *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-f.rest:
		return a.conn, a.err
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close closes the listener, and the connections that net/http has not got and
// that have sent nothing yet. Handshakes under way end as they would, those that
// the handler refuses within [Options].Timeout.
func (f *Listener) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return net.ErrClosed
	}
	f.closed = true
	silent := f.silent
	f.silent = nil
	f.mu.Unlock()
	close(f.done)
	for c := range silent {
		c.Close()
	}
	return f.Listener.Close()
}

// run accepts until the listener is closed. Errors are left to net/http, which
// calls Accept again after a pause if they may pass; so run pauses, too.
func (f *Listener) run() {
	for {
		c, err := f.Listener.Accept()
		if c, ok := c.(conn); ok && canPeek {
			go f.receive(c) // until it is served, taken by net/http, or timed out
			continue
		}
		if !f.pass(accepted{c, err}) {
			return
		}
	}
}

// pass gives a connection or an error to net/http. It reports false, and closes
// the connection, when the listener is closed.
func (f *Listener) pass(a accepted) bool {
	select {
	case f.rest <- a:
		return true
	case <-f.done:
		if a.conn != nil {
			a.conn.Close()
		}
		return false
	}
}

// receive serves a new connection, or leaves it to net/http.
func (f *Listener) receive(c conn) {
	stack.Reserve()
	b := f.await(c)
	if b == nil {
		c.Close()
		return
	}
	r := b.take(c)
	b.release()
	c.SetReadDeadline(time.Time{})
	if r == nil {
		f.pass(accepted{conn: c})
		return
	}
	f.serve(c, r)
}

// await waits for the first bytes or the end of the connection, and returns what
// there is; nil if nothing comes in time or the listener is closed.
func (f *Listener) await(c conn) *buffer {
	c.SetReadDeadline(time.Now().Add(f.opts.Timeout))
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.silent[c] = struct{}{}
	f.mu.Unlock()
	b := peek(c)
	f.mu.Lock()
	delete(f.silent, c)
	f.mu.Unlock()
	return b
}

// serve has the handler answer a handshake.
func (f *Listener) serve(c net.Conn, r *http.Request) {
	w := &response{conn: c, header: http.Header{}}
	defer func() {
		switch p := recover(); {
		case p != nil:
			if err, _ := p.(error); !errors.Is(err, http.ErrAbortHandler) {
				f.opts.Logger.Error("a WebSocket handshake caused a panic", "remote", c.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
			}
			c.Close()
		case !w.hijacked:
			c.SetDeadline(time.Now().Add(f.opts.Timeout))
			w.send(r)
			c.Close()
		}
	}()
	f.opts.Handler.ServeHTTP(w, r)
}
