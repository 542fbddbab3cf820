package dispatch

import (
	"sync/atomic"

	"github.com/fanoutd/fanoutd/internal/sio"
)

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

// now returns what the connection is now, or was at its end.
func (v *view) now() *sio.Connection {
	if s := v.socket.Load(); s != nil {
		c := s.Connection()
		return &c
	}
	return v.end.Load()
}

// Current returns the connection of a Message, or of a Connected that was made for one
// group, as it is now, or was at its end; of others what [Event.Connection] has. It is nil
// if that is not known any more: the event was a dead letter, and its connection is gone.
func (e *Event) Current() *sio.Connection {
	if e.Connection != nil || e.view == nil {
		return e.Connection
	}
	c := e.view.now()
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
