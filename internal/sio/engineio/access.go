package engineio

import "net"

// Access says which requests are served, and as whose. It may change while the server
// serves.
type Access struct {
	Origins Origins // as [Options.Origins]
	Proxies Proxies // as [Options.Proxies]
}

// SetAccess has a take the place of what is in force, for requests from now on: sessions
// that are open stay, and their next requests are judged by a. It may be called at any
// time, from any goroutine.
func (s *Server) SetAccess(a Access) { s.access.Store(&a) }

// TrustsPeer reports whether the other end of a connection is one of the proxies that are
// believed now. It may be called at any time, from any goroutine.
func (s *Server) TrustsPeer(a net.Addr) bool {
	_, trusted := s.access.Load().Proxies.peer(a.String())
	return trusted
}
