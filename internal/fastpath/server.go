package fastpath

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
)

// Options of a [Server].
type Options struct {
	// Logger is told of panics in the handler, where net/http does not serve it.
	Logger *slog.Logger
}

// Server is an [http.Server] whose Serve, Shutdown and Close are this package's. For what
// is served past net/http, Handler and ReadHeaderTimeout hold as for all else; the
// contexts of such requests are never done, and BaseContext and ConnContext are not called.
type Server struct {
	*http.Server
	opts Options

	mu      sync.Mutex
	conns   map[*conn]struct{} // from their accepting until they end, or are another's
	closing bool
	gone    chan struct{} // closed when closing and there are none any more
}

// New returns a server for what s serves, and leaves to s what it does not serve itself.
func New(s *http.Server, opts Options) *Server {
	return &Server{Server: s, opts: opts, conns: map[*conn]struct{}{}, gone: make(chan struct{})}
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
	s.close(func(c *conn) bool { return c.state.CompareAndSwap(waiting, ended) })
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
	if !s.closing {
		s.closing = true
		if len(s.conns) == 0 {
			close(s.gone)
		}
	}
	var all []*conn
	for c := range s.conns {
		if which(c) {
			all = append(all, c)
		}
	}
	s.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// add makes a connection known. It reports false when the server is closing.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// remove forgets a connection.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.closing && len(s.conns) == 0 {
		close(s.gone)
	}
}
