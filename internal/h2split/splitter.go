package h2split

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"time"
)

// Options of a [Splitter].
type Options struct {
	// TLS is how clients connect; nil: in plain text. Its NextProtos do not count. A
	// GetConfigForClient of its own is asked first, and has to return a new Config for
	// each call.
	TLS *tls.Config

	// Timeout is how long a client may take to send its first bytes, or for the
	// handshake.
	Timeout time.Duration
}

// Splitter divides the connections of a listener. Its methods may be called at once.
type Splitter struct {
	listener net.Listener
	opts     Options
	tls      *tls.Config // nil: in plain text; for all clients, so that their sessions resume
	only     *tls.Config // that of clients that offer h2 alone
	both     *tls.Config // that of all others
	http2    *half
	others   *half
	done     chan struct{} // closed by close

	mu     sync.Mutex
	new    map[net.Conn]struct{} // connections that have not said what they speak
	closed bool
}

// Listen begins to accept connections from l, until one of the two listeners that it has
// is closed. That closes l and the connections that have not said yet what they speak.
func Listen(l net.Listener, o Options) *Splitter {
	s := &Splitter{listener: l, opts: o, done: make(chan struct{}), new: map[net.Conn]struct{}{}}
	s.http2, s.others = &half{s, make(chan accepted)}, &half{s, make(chan accepted)}
	if o.TLS != nil {
		s.tls, s.only, s.both = o.TLS.Clone(), o.TLS.Clone(), o.TLS.Clone()
		s.tls.GetConfigForClient = s.configFor
		s.only.NextProtos, s.both.NextProtos = []string{"h2"}, []string{"h2", "http/1.1"}
	}
	go s.run() // until the listener is closed
	return s
}

// HTTP2 is where connections are accepted of clients that speak HTTP/2 and nothing else.
// Over TLS they are of type [*tls.Conn], and their handshake is done.
func (s *Splitter) HTTP2() net.Listener { return s.http2 }

// Others is where all other connections are accepted. Over TLS they are of type
// [*tls.Conn], and their handshake is done.
func (s *Splitter) Others() net.Listener { return s.others }

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// half is one of the two listeners.
type half struct {
	splitter *Splitter
	next     chan accepted
}

var _ net.Listener = (*half)(nil)

func (h *half) Accept() (net.Conn, error) {
	select {
	case a := <-h.next:
		return a.conn, a.err
	case <-h.splitter.done:
		return nil, net.ErrClosed
	}
}

func (h *half) Close() error { return h.splitter.close() }

func (h *half) Addr() net.Addr { return h.splitter.listener.Addr() }

// pass gives a connection or an error to who accepts. It reports false, and closes the
// connection, when the listener is closed.
func (h *half) pass(a accepted) bool {
	select {
	case h.next <- a:
		return true
	case <-h.splitter.done:
		if a.conn != nil {
			a.conn.Close()
		}
		return false
	}
}

// close is for each half: that the other is closed already is no error.
func (s *Splitter) close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	waiting := s.new
	s.new = nil
	s.mu.Unlock()
	close(s.done)
	for c := range waiting {
		c.Close()
	}
	return s.listener.Close()
}

// run accepts until the listener is closed. Errors are left to both servers, which call
// Accept again after a pause if they may pass; so run pauses, too.
func (s *Splitter) run() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if !s.http2.pass(accepted{err: err}) || !s.others.pass(accepted{err: err}) {
				return
			}
			continue
		}
		go s.receive(c) // until it is accepted, or timed out
	}
}

// receive finds out what a new connection speaks, and passes it on.
func (s *Splitter) receive(c net.Conn) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		c.Close()
		return
	}
	s.new[c] = struct{}{}
	s.mu.Unlock()
	c.SetDeadline(time.Now().Add(s.opts.Timeout))
	to, conn := s.find(c)
	s.mu.Lock()
	delete(s.new, c)
	s.mu.Unlock()
	if to == nil {
		c.Close()
		return
	}
	c.SetDeadline(time.Time{})
	to.pass(accepted{conn: conn})
}

// find returns who serves a connection, and what there is of it to serve; nil: nobody.
func (s *Splitter) find(c net.Conn) (*half, net.Conn) {
	if s.tls != nil {
		return s.handshake(c)
	}
	http2, conn := prefaced(c)
	switch {
	case conn == nil:
		return nil, nil
	case http2:
		return s.http2, conn
	}
	return s.others, conn
}

// offering is a connection whose handshake tells what its client offers.
type offering struct {
	net.Conn
	onlyHTTP2 bool
}

// NetConn returns the connection below, as that of a [tls.Conn] does.
func (c *offering) NetConn() net.Conn { return c.Conn }

func (s *Splitter) handshake(c net.Conn) (*half, net.Conn) {
	offers := &offering{Conn: c}
	conn := tls.Server(offers, s.tls)
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Timeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil
	}
	if offers.onlyHTTP2 {
		return s.http2, conn
	}
	return s.others, conn
}

// configFor returns the configuration for one client.
func (s *Splitter) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	offers := hello.Conn.(*offering)
	offers.onlyHTTP2 = slices.Contains(hello.SupportedProtos, "h2") && !slices.Contains(hello.SupportedProtos, "http/1.1")
	config := s.both
	if offers.onlyHTTP2 {
		config = s.only
	}
	if s.opts.TLS.GetConfigForClient == nil {
		return config, nil
	}
	own, err := s.opts.TLS.GetConfigForClient(hello)
	if own == nil || err != nil {
		return config, err
	}
	own.NextProtos = config.NextProtos
	return own, nil
}
