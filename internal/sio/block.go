package sio

import (
	"net/netip"
	"slices"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// Blocks says who may not connect. Its methods are called often and under locks: they
// touch memory and no more.
type Blocks interface {
	// Address reports whether clients of this address are refused.
	Address(netip.Addr) bool
	// User reports whether connections of this user are refused.
	User(name string) bool
}

// ErrBlocked is what the client of a user who is blocked is told. A Backend may refuse a
// socket by it before it would have to ask somebody.
var ErrBlocked = &Refusal{Message: MessageBlocked}

// whyBlocked is the detail of connections that were blocked as they came.
const whyBlocked = "blocked"

func (s *Server) blockedUser(name string) bool {
	return s.opts.Blocks != nil && name != "" && s.opts.Blocks.User(name)
}

// EndBlocked ends all sessions of clients with these addresses, and all that have a
// connection of these users in any namespace, as a [Disconnect] of sessions does, and
// returns how many connections it ended. What may be come back to as one of the users is
// not kept. why is the detail of their ends. Options.Blocks has to say by then that they
// are blocked, so that nobody comes in meanwhile.
func (s *Server) EndBlocked(users []string, prefixes []netip.Prefix, why string) (connections int) {
	s.applying.RLock()
	defer s.applying.RUnlock()
	if s.closing {
		return 0 // all sessions are ending
	}
	if len(users) > 0 {
		for _, n := range s.namespaces.all() {
			_, ended := n.disconnect(Disconnect{
				To: Target{Namespace: n.name, Selector: room.Selector{Users: users}}, Mode: DisconnectSession, Reason: why,
			})
			connections += ended
		}
	}
	if len(prefixes) > 0 {
		connections += s.endFrom(prefixes, newEnd(ReasonServerDisconnect, why))
	}
	return connections
}

// endFrom ends the sessions of clients with these addresses, and returns how many
// connections they had.
func (s *Server) endFrom(prefixes []netip.Prefix, why End) (connections int) {
	matches := func(a netip.Addr) bool {
		return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	var conns []*conn // that have joined something
	s.engine.EachFrom(matches, func(session *engineio.Session, r engineio.Receiver) {
		c, _ := r.(*conn)
		if c == nil { // it is being opened
			session.CloseWith(engineio.ReasonForcedServer, why.Detail)
			return
		}
		conns = append(conns, c)
		connections += c.end(why)
	})
	s.retention.evict()
	s.callbacks.Go(func() {
		for _, c := range conns {
			c.reportEnds()
		}
	})
	return connections
}

// end ends the session and what its client is or wants to be anywhere, tells it so, and
// returns how many connections it had. The backend hears of them by the next reportEnds.
func (c *conn) end(why End) (connections int) {
	c.server.ending.Lock()
	defer c.server.ending.Unlock()
	ended := c.endOthers("", why, "") // than none: wherever it is
	c.session.CloseWith(engineio.ReasonForcedServer, why.Detail)
	for _, x := range ended {
		c.ended(x, why)
	}
	return len(ended)
}

var _ engineio.BlockedReceiver = (*conn)(nil)

// Blocked implements engineio.BlockedReceiver: a request for the session has come from an
// address that is blocked.
func (c *conn) Blocked() {
	c.server.applying.RLock()
	defer c.server.applying.RUnlock()
	if c.server.closing {
		return // it is ending
	}
	c.end(newEnd(ReasonServerDisconnect, whyBlocked))
	c.server.retention.evict()
	c.server.callbacks.Go(c.reportEnds)
}
