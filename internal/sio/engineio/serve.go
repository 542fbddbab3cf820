package engineio

import (
	"net/http"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// ServeHTTP answers one request of one session, or opens one. It blocks for as
// long as a poll is pending.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.guardRequest()
	access := s.access.Load()
	at := access.Proxies.site(r)
	s.warnUntrusted(r, &access.Proxies)
	from, remote := access.Proxies.client(r)
	r.RemoteAddr = remote
	ok, named := access.Origins.allows(r, at)
	if !ok {
		s.refuseOrigin(w, r, at)
		return
	}
	if !isUpgrade(r) {
		access.Origins.setCORS(w.Header(), r, named)
		if r.Method == http.MethodOptions && r.Header.Get("Origin") != "" {
			access.Origins.preflight(w, r)
			return
		}
	}
	if a := addressOf(remote); s.blocked(a) && (!s.endNamed(r, a) || isUpgrade(r)) {
		s.refuse(w, r, errBlocked)
		return
	}
	query := r.URL.RawQuery
	transport, _ := parameter(query, "transport")
	eio, hasEIO := parameter(query, "EIO")
	// The order of the checks is the reference's (engine.io/lib/server.ts, verify).
	if transport != transportPolling && transport != transportWebSocket || !s.opts.Transports.Has(transport) {
		e := errUnknownTransport
		if isUpgrade(r) && !hasEIO {
			e.message += plainClient
		}
		s.refuse(w, r, e)
		return
	}
	if sid, has := parameter(query, "sid"); has {
		s.serveSession(w, r, s.session(sid), transport)
		return
	}
	if r.Method != http.MethodGet {
		s.refuse(w, r, errBadMethod)
		return
	}
	if (transport == transportWebSocket) != isUpgrade(r) {
		s.refuse(w, r, mismatch(transport))
		return
	}
	protocol := s.protocol(eio)
	if protocol == 0 {
		e := errVersion
		if isUpgrade(r) && !hasEIO {
			e.message += plainClient
		}
		s.refuse(w, r, e)
		return
	}
	s.open(w, r, transport, protocol, from, at.https || !at.told && r.TLS != nil)
}

// protocol returns the version of Engine.IO that a request asks for, or 0.
func (s *Server) protocol(eio string) uint8 {
	switch {
	case eio == "4":
		return 4
	case eio == "3" && s.opts.AllowEIO3:
		return 3
	}
	return 0
}

// serveSession answers a request that names its session; nil: there is none of that
// name.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request, sess *Session, transport string) {
	if sess == nil {
		s.refuse(w, r, errUnknownSession)
		return
	}
	if eio, has := parameter(r.URL.RawQuery, "EIO"); has && s.protocol(eio) != sess.protocol {
		s.refuse(w, r, errBadRequest)
		return
	}
	switch upgrade := isUpgrade(r); {
	case upgrade && transport == transportWebSocket:
		sess.serveUpgrade(w, r)
	case upgrade, transport != sess.Transport(), transport == transportWebSocket:
		s.refuse(w, r, mismatch(transport))
	case r.Method == http.MethodGet:
		sess.servePoll(w, r)
	case r.Method == http.MethodPost:
		sess.servePost(w, r)
	default:
		s.refuse(w, r, errBadRequest)
	}
}

// upgradeHeaders are the headers of a WebSocket's handshake beyond its own.
func (s *Server) upgradeHeaders(r *http.Request) http.Header {
	if _, has := parameter(r.URL.RawQuery, "sid"); has {
		return nil
	}
	return s.opts.InitialHeaders
}

// isUpgrade reports whether the request asks for a WebSocket.
func isUpgrade(r *http.Request) bool { return wsconn.IsUpgrade(r) }
