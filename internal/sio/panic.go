package sio

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// guard is to be deferred by goroutines that do something for this client alone: a panic
// ends its session, and nothing else. What the session itself does, package engineio
// guards.
func (c *conn) guard() {
	if value := recover(); value != nil {
		c.server.engine.NotePanic(value)
		c.session.Close(engineio.ReasonInternalError)
	}
}

// connecting has the backend decide. A panic of it is no decision.
func (s *Server) connecting(ctx context.Context, socket *Socket, auth []byte) (a Admission, err error) {
	defer func() {
		if value := recover(); value != nil {
			s.engine.NotePanic(value)
			err = &Unavailable{Message: "panic while deciding"}
		}
	}()
	return s.backend.Connecting(ctx, socket, auth)
}

// disconnected tells the backend of an end. What else there is to be done for this client
// is done even if that panics.
func (c *conn) disconnected(s *Socket, why End) {
	defer c.guard()
	c.server.backend.Disconnected(s, why)
}
