package sio

import (
	"context"
	"time"
)

// Drain refuses new sessions, and closes those there are without a DISCONNECT packet, evenly
// over this long; see [engineio.Server.Drain]. Everything else goes on: operations, and what
// browsers do. Close is what follows.
func (s *Server) Drain(ctx context.Context, over time.Duration) error {
	return s.engine.Drain(ctx, over)
}

// Drained returns how many sessions Drain has closed.
func (s *Server) Drained() int { return s.engine.Drained() }

// CloseOldest closes n sessions without a DISCONNECT packet, evenly over this long, and
// returns how many it has closed; see [engineio.Server.CloseOldest].
func (s *Server) CloseOldest(ctx context.Context, n int, over time.Duration) int {
	return s.engine.CloseOldest(ctx, n, over)
}

// OpenSessions returns how many sessions are open.
func (s *Server) OpenSessions() int { return s.engine.Open() }

// MaxSessions returns how many sessions there may be; 0: any number.
func (s *Server) MaxSessions() int { return s.engine.MaxSessions() }
