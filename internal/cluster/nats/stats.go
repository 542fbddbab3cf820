package nats

// Stats are the counts of a bus.
type Stats struct {
	Connected  bool
	Dropped    uint64 // messages lost in this process: handlers that are too slow, a server that is away
	Reconnects uint64 // to the server
	Routes     int    // to other nodes' servers; embedded only
}

// Stats returns the counts as they are now.
func (c *conn) Stats() Stats {
	return Stats{Connected: c.Connected(), Dropped: c.Dropped(), Reconnects: c.reconnects.Load()}
}

// Stats returns the counts as they are now.
func (e *Embedded) Stats() Stats {
	s := e.conn.Stats()
	s.Routes = e.server.NumRoutes()
	return s
}
