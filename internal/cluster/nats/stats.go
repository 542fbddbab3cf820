package nats

import "github.com/fanoutd/fanoutd/internal/cluster/bus"

// Stats returns the counts as they are now.
func (c *conn) Stats() bus.Stats {
	return bus.Stats{Connected: c.Connected(), Dropped: c.Dropped(), Reconnects: c.reconnects.Load()}
}

// Stats returns the counts as they are now.
func (e *Embedded) Stats() bus.Stats {
	s := e.conn.Stats()
	s.Routes = e.server.NumRoutes()
	return s
}

var _ bus.Routed = (*Embedded)(nil)

// Others implements [bus.Routed]: each server that there is a route to is of one node.
func (e *Embedded) Others() int { return e.server.NumRemotes() }
