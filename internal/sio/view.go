package sio

import "time"

// Connection is a copy of what is known about one connection at one moment.
// It never holds the Engine.IO sid, which is a bearer secret, nor the
// handshake's auth.
type Connection struct {
	// Seq orders connections by their time of arrival on this server; it is
	// unique within the server and the key that listings page by.
	Seq         uint64
	ID          string // what the client sees as socket.id
	Namespace   string
	UserID      string   // empty: no user
	Rooms       []string // sorted; its own ID among them
	Transport   string   // "polling" or "websocket", at this moment
	Protocol    int      // Engine.IO revision: 3 or 4
	RemoteAddr  string   // host:port of the peer
	ConnectedAt time.Time
	Recovered   bool           // it was cut off and came back; ConnectedAt is when
	Data        map[string]any // read-only for the receiver; JSON-like values
	Expire      time.Time      // when the authorisation runs out; zero: never
	Headers     map[string]string
	Query       map[string]string
	// Of its session, which its namespaces share.
	QueuedBytes     int // waiting in the outbox
	VolatileDropped int // volatile events dropped so far
}

// GroupBy names what CountConnections groups by.
type GroupBy int

const (
	GroupNone      GroupBy = iota // one number, under the key ""
	GroupRoom                     // by room name; a connection counts in each of its rooms
	GroupTransport                // by transport name
	GroupNamespace                // by namespace name
	GroupUser                     // by user, those of no user under the key ""
)

// Named is a room or a namespace with its number of connections.
type Named struct {
	Name        string
	Connections int
	Rooms       int // namespaces only: rooms that exist in it
}
