package dispatch

import (
	"sync/atomic"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// View says how much of connections is asked for.
type View int

// The views.
const (
	ViewDefault View = iota // all of it, but of a Message what ViewBasic says
	ViewBasic               // all but the handshake
	ViewFull                // all of it
)

// Handshake reports whether v has the handshake of the connection of an event of kind k.
func (v View) Handshake(k Kind) bool { return v == ViewFull || v == ViewDefault && k != Message }

// AssignedHandshake reports whether v has the handshake of a connection that is assigned.
func (v View) AssignedHandshake() bool { return v != ViewBasic }

// ChangedHandshake reports whether v has the handshake of a connection that has changed, which
// the handshake does not.
func (v View) ChangedHandshake() bool { return v == ViewFull }

// view shows a connection as it is, and once it has ended as it was then. Events
// that wait have it, so from then on it does not keep the socket in memory. It is
// safe for concurrent use.
type view struct {
	socket atomic.Pointer[sio.Socket]
	end    atomic.Pointer[sio.Connection]
}

func newView(s *sio.Socket) *view {
	v := &view{}
	v.socket.Store(s)
	return v
}

// freeze shows what the connection was at its end from now on.
func (v *view) freeze(end *sio.Connection) {
	v.end.Store(end)
	v.socket.Store(nil)
}

// now returns what the connection is now, or was at its end, with its handshake if that is
// asked for; at its end in any case.
func (v *view) now(handshake bool) *sio.Connection {
	if s := v.socket.Load(); s != nil {
		c := s.BasicConnection()
		if handshake {
			c.Handshake = s.Handshake()
		}
		return &c
	}
	return v.end.Load()
}

// Current returns the connection of a Message, or of a Connected that was made for one
// group, as it is now, or was at its end; of others what [Event.Connection] has. It is nil
// if that is not known any more: the event was a dead letter, and its connection is gone. What
// v does not ask for may be left out.
func (e *Event) Current(v View) *sio.Connection {
	if e.Connection != nil || e.view == nil {
		return e.Connection
	}
	c := e.view.now(v.Handshake(e.Kind))
	if e.returned && c != nil {
		back := *c
		back.Recovery = sio.Recovered
		return &back
	}
	return c
}

// withoutView returns the event as it is kept when its connection does not matter
// any more.
func (e *Event) withoutView() *Event {
	if e.view == nil {
		return e
	}
	bare := *e
	bare.view = nil
	return &bare
}
