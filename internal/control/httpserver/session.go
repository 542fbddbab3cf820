package httpserver

import (
	"context"
	"net/http"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

type sessionKey struct{}

// ServeAs serves a request, of another listener than Serve's, as one of this caller, whatever
// key or certificate it brings. Whoever calls it has kept web pages out, and has let the
// caller in; rights are looked at here. It may be called at once, and after Shutdown, which
// waits for it as for other calls.
func (s *Server) ServeAs(w http.ResponseWriter, r *http.Request, caller identity.Principal) {
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), sessionKey{}, &caller))
	defer cancel()
	defer context.AfterFunc(s.cut, cancel)()
	s.unguarded.ServeHTTP(w, r.WithContext(ctx))
}

// sessionOf is the caller that ServeAs was told; nil: there is none.
func sessionOf(r *http.Request) *identity.Principal {
	caller, _ := r.Context().Value(sessionKey{}).(*identity.Principal)
	return caller
}
