package front

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/fanoutd/fanoutd/internal/workers"
)

// Options of a [Listener].
type Options struct {
	// Handler serves requests for WebSockets. Its ResponseWriter can be hijacked.
	// The request's context is never done.
	Handler http.Handler
	// Timeout is how long a connection may take to say something, and then to
	// take an answer that is not a WebSocket.
	Timeout time.Duration
	// Logger is told of panics.
	Logger *slog.Logger
}

// Listener gives net/http, by Accept, the connections that it is to serve, and
// serves the others. It is for one [http.Server]'s Serve.
type Listener struct {
	net.Listener
	opts    Options
	workers *workers.Pool[conn]
	rest    chan accepted
	done    chan struct{} // closed by Close

	mu      sync.Mutex
	silent  map[conn]struct{} // connections that have said nothing yet
	closing bool
}

// conn is a connection at which a look can be had.
type conn interface {
	net.Conn
	syscall.Conn
}

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
	f.workers = workers.New(f.receive)
	go f.run()
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

// Close closes the listener, and the connections that have said nothing yet.
// Handshakes under way end as they would.
func (f *Listener) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return net.ErrClosed
	}
	f.closing = true
	close(f.done)
	for c := range f.silent {
		c.Close()
	}
	return f.Listener.Close()
}

// run accepts until the listener is closed. Errors are left to net/http, which
// waits a while after one that passes, and so does run.
func (f *Listener) run() {
	defer f.workers.Stop()
	for {
		c, err := f.Listener.Accept()
		if v, ok := c.(conn); ok && canPeek {
			f.workers.Do(v)
			continue
		}
		if !f.pass(accepted{c, err}) {
			return
		}
	}
}

// pass hands something to net/http, and reports false when nobody takes it any more.
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
	d := f.await(c)
	if d == nil {
		c.Close()
		return
	}
	defer buffers.Put(d)
	if r := d.read(c); r != nil {
		f.serve(d, c, r)
		return
	}
	c.SetReadDeadline(time.Time{})
	f.pass(accepted{conn: c})
}

// await waits for the first bytes, or the end, and returns a buffer with what there
// is; nil if nothing came in time.
func (f *Listener) await(c conn) *buffer {
	f.mu.Lock()
	if f.closing {
		f.mu.Unlock()
		return nil
	}
	f.silent[c] = struct{}{}
	f.mu.Unlock()
	c.SetReadDeadline(time.Now().Add(f.opts.Timeout))
	d := peek(c)
	f.mu.Lock()
	delete(f.silent, c)
	f.mu.Unlock()
	return d
}

// serve has the handler answer.
func (f *Listener) serve(d *buffer, c net.Conn, r *http.Request) {
	a := &response{conn: c, buffer: d, header: http.Header{}}
	defer func() {
		switch p := recover(); {
		case p != nil:
			if err, _ := p.(error); !errors.Is(err, http.ErrAbortHandler) {
				f.opts.Logger.Error("a request for a WebSocket caused a panic", "remote", c.RemoteAddr(), "panic", p, "stack", string(debug.Stack()))
			}
			c.Close()
		case !a.hijacked:
			c.SetWriteDeadline(time.Now().Add(f.opts.Timeout))
			a.send(r)
			c.Close()
		}
	}()
	f.opts.Handler.ServeHTTP(a, r)
}
