package fastpath

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/netpoll"
)

// Options of a [Server].
type Options struct {
	// PollPath is the path of Engine.IO, which its polls and their POSTs have: /socket.io/, say.
	// Empty: net/http serves these.
	PollPath string
	// Logger is told of panics in the handler, where net/http does not serve it.
	Logger *slog.Logger
}

// Server is an [http.Server] whose Serve, Shutdown and Close are this package's. For what
// is served past net/http, Handler, ReadHeaderTimeout and IdleTimeout hold as for all else;
// WriteTimeout and the functions that are called for connections do not. The context of a
// poll is done when its client leaves, when it was served, and with Close; that of a
// handshake never.
type Server struct {
	*http.Server
	opts   Options
	pieces time.Duration  // how long the rest of a poll may take that has come in part
	poller netpoll.Poller // of the connections that polls came by

	mu      sync.Mutex
	conns   map[*conn]struct{} // from their accepting until they end, or are another's
	closing atomic.Bool        // written under mu
	gone    chan struct{}      // closed when closing and there are none any more
}

// defaultPieces is enough for a client that sends head and body apart. Then net/http gets the
// connection, and has the patience for it.
const defaultPieces = time.Second

// New returns a server for what s serves, and leaves to s what it does not serve itself.
func New(s *http.Server, opts Options) *Server {
	if !canPoll {
		opts.PollPath = ""
	}
	return &Server{Server: s, opts: opts, pieces: defaultPieces, conns: map[*conn]struct{}{}, gone: make(chan struct{})}
}

// Serve serves the connections that l accepts, until Shutdown or Close, or until l fails.
// Its error is never nil: after these two it is [http.ErrServerClosed].
func (s *Server) Serve(l net.Listener) error {
	return s.Server.Serve(s.listen(l))
}

// Shutdown closes the listeners and the connections that wait for a request, and waits for the
// requests that are being served, or until ctx is done. Connections that were hijacked
// are their handler's.
func (s *Server) Shutdown(ctx context.Context) error {
	s.close(func(c *conn) bool { return c.state.CompareAndSwap(waiting, closed) })
	if err := s.Server.Shutdown(ctx); err != nil {
		return err
	}
	select {
	case <-s.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close closes the listeners and all connections but those that were hijacked.
func (s *Server) Close() error {
	s.close(func(*conn) bool { return true })
	return s.Server.Close()
}

// close lets no connection in any more, and closes those that which says.
func (s *Server) close(which func(*conn) bool) {
	s.mu.Lock()
	last := !s.closing.Swap(true) && len(s.conns) == 0
	var all []*conn
	for c := range s.conns {
		if which(c) {
			all = append(all, c)
		}
	}
	s.mu.Unlock()
	for _, c := range all {
		c.abort()
	}
	if last {
		s.end()
	}
}

// add makes a connection known. It reports false when the server is closing.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// remove forgets a connection. It has no effect when it is called again.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	_, known := s.conns[c]
	delete(s.conns, c)
	last := known && s.closing.Load() && len(s.conns) == 0
	s.mu.Unlock()
	if last {
		s.end()
	}
}

// end is called once, after the last connection.
func (s *Server) end() {
	s.poller.Close()
	close(s.gone)
}

// headerTimeout is how long a connection may take to send its first bytes, and then to
// take an answer that is not a WebSocket; 0: any time.
func (s *Server) headerTimeout() time.Duration { return cmp.Or(s.ReadHeaderTimeout, s.ReadTimeout) }

// idleTimeout is how long a connection may be silent between requests; 0: any time.
func (s *Server) idleTimeout() time.Duration { return cmp.Or(s.IdleTimeout, s.ReadTimeout) }
