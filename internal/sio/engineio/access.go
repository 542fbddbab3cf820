package engineio

import (
	"net"
	"net/http"
)

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

// forwardedHeaders are those that [Proxies] are believed for.
var forwardedHeaders = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"}

// warnUntrusted tells the operator, now and then, of a request that has headers of a
// proxy and comes from none that is trusted: nothing else says why limits and origins take
// all browsers for one.
func (s *Server) warnUntrusted(r *http.Request, p *Proxies) {
	for _, name := range forwardedHeaders {
		if _, has := r.Header[name]; !has {
			continue
		}
		if _, trusted := p.peer(r.RemoteAddr); trusted {
			return
		}
		if n, ok := s.proxied.Event(); ok {
			s.log.Warn("a request has a header of proxies that is not believed, as its address is not one of trusted-proxies: if your proxy is there, add it; if not, a client made the header up",
				"header", name, "remote", r.RemoteAddr, "requests", n)
		}
		return
	}
}
