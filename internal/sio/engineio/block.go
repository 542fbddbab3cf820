package engineio

import (
	"net/http"
	"net/netip"
)

// addressOf returns the address that [Proxies.client] wrote, with a port or without one;
// invalid: it is none.
func addressOf(remote string) netip.Addr {
	if at, err := netip.ParseAddrPort(remote); err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// blocked reports whether an address is blocked.
func (s *Server) blocked(a netip.Addr) bool {
	return s.opts.Blocked != nil && a.IsValid() && s.opts.Blocked(a)
}

// BlockedReceiver is a [Receiver] that says goodbye: Blocked is called before a session
// closes because a request for it came from an address that is blocked, beside whatever else
// is called. It may close the session itself.
type BlockedReceiver interface{ Blocked() }

// EachFrom calls f with each session of clients whose addresses match, and its receiver,
// which is nil while the session is being opened. An address is one that opened the session,
// carries it or is about to, or from which it was polled the last time. A session
// that comes to be one of these meanwhile is left out, and ended if [Options.Blocked] says so by
// now. matches is called under locks.
func (s *Server) EachFrom(matches func(netip.Addr) bool, f func(*Session, Receiver)) {
	for _, sess := range s.all() {
		if receiver, ok := sess.isFrom(matches); ok {
			f(sess, receiver)
		}
	}
}

// isFrom reports whether an address of the session matches, and returns its receiver.
func (s *Session) isFrom(matches func(netip.Addr) bool) (Receiver, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	does := func(a netip.Addr) bool { return a.IsValid() && matches(a) }
	found := does(s.client) || s.elsewhere != nil && does(*s.elsewhere) ||
		s.candidateInput != nil && does(s.candidateInput.from)
	return s.receiver, found
}

// carriedFromLocked notes the address of what carries the session from now on.
func (s *Session) carriedFromLocked(a netip.Addr) {
	switch {
	case a == s.client:
		s.elsewhere = nil
	case s.elsewhere == nil || *s.elsewhere != a:
		other := a // so that the others need no memory
		s.elsewhere = &other
	}
}

// endIfBlocked ends the session if the address of a request for it is blocked, and reports
// whether that is so. Where an address is noted, it is called after that: whoever blocks
// the address either finds it there, or has done so before.
func (s *Session) endIfBlocked(a netip.Addr) bool {
	if !s.srv.blocked(a) {
		return false
	}
	s.mu.Lock()
	open, receiver := s.phase.open(), s.receiver
	s.mu.Unlock()
	if !open {
		return true
	}
	if r, ok := receiver.(BlockedReceiver); ok {
		s.guard(r.Blocked)
	}
	s.CloseWith(ReasonForcedServer, errBlocked.message)
	return true
}

// endNamed ends the session that a request from a blocked address names, and reports whether
// there is one. Its polls then fetch the last that there is for its client: stock ones come
// back for ever after a 403.
func (s *Server) endNamed(r *http.Request, a netip.Addr) bool {
	sid, _ := parameter(r.URL.RawQuery, "sid")
	sess := s.session(sid)
	return sess != nil && sess.endIfBlocked(a)
}
