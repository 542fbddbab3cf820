package sio

import (
	"slices"
	"time"
)

// Connection is a copy of what is known about one connection at one moment.
// It never holds the Engine.IO sid, which is a bearer secret.
type Connection struct {
	// Cursor continues a listing behind this connection. Empty where it is not
	// part of a listing.
	Cursor      string
	Node        string // name of the node that holds it
	ID          string // what the client sees as socket.id
	Namespace   string
	UserID      string   // empty: no user
	Rooms       []string // sorted; its own ID among them
	Transport   string   // "polling", "websocket" or "webtransport", at this moment
	Protocol    int      // Engine.IO revision: 3 or 4
	ConnectedAt time.Time
	RemoteAddr  string         // host:port of the peer
	Recovery    Recovery       // what came of its wish to come back; Recovered: it was cut off, and ConnectedAt is when it came back
	Data        map[string]any // read-only for the receiver; JSON-like values
	Expire      time.Time      // when the authorisation runs out; zero: never
	Handshake   *Handshake     // read-only for the receiver; nil: it was not asked for, or is not known
	// Of its session, which its namespaces share.
	Session         string // what that may be told from others by; no secret
	QueuedBytes     int    // waiting in the outbox
	VolatileDropped int    // volatile events dropped so far
}

// Handshake is what is shown of the request that opened the session of a connection, and of
// what came with its CONNECT.
type Handshake struct {
	IssuedAt time.Time // when the request came
	Secure   bool      // the client came by TLS, to us or to the trusted proxy in front
	URL      string    // path and query, without the sid and secrets; valid UTF-8
	Query    map[string]string
	Headers  map[string]string // valid UTF-8, as Query: anything else became U+FFFD
	Auth     string            // text of a JSON object: what [Exposure] shows of the client's auth; empty: nothing
}

// size is about how many bytes h keeps in memory that nobody else does.
func (h *Handshake) size() int {
	n := 128 + len(h.URL) + len(h.Auth)
	for _, m := range []map[string]string{h.Headers, h.Query} { // the client's choice
		for name, value := range m {
			n += 32 + len(name) + len(value)
		}
	}
	return n
}

// Recovered reports whether it was cut off and came back; ConnectedAt is when.
func (c *Connection) Recovered() bool { return c.Recovery == Recovered }

// Size is about how many bytes c keeps in memory that nobody else does.
func (c *Connection) Size() int {
	n := int(weigh(c.Data))
	for _, name := range c.Rooms {
		n += 16 + len(name)
	}
	if c.Handshake != nil {
		n += c.Handshake.size()
	}
	return n
}

// GroupBy names what [Server.Count] groups by.
type GroupBy int

const (
	GroupNone      GroupBy = iota // one number, under the key ""
	GroupRoom                     // by room name; a connection counts in each of its rooms
	GroupTransport                // by transport name
	GroupNamespace                // by namespace name
	GroupUser                     // by user, those of no user under the key ""
	GroupNode                     // by the name of the node that holds them
)

// Coverage says whether all nodes took part in a result. The zero value: they did.
type Coverage struct {
	Partial     bool
	Unreachable []string // names of the nodes that did not answer
}

// ConnectionPage is a piece of a listing of connections.
type ConnectionPage struct {
	Connections []Connection
	Next        string // cursor of the next page; empty: there is none
	Coverage
}

// Named is a room, a user or a namespace with its number of connections.
type Named struct {
	Name        string
	Connections int
	Rooms       int // namespaces only: rooms that exist in it
}

// RoomFilter says which rooms [Server.Rooms] lists.
type RoomFilter struct {
	Prefix string // of their names
	IDs    bool   // those that are named by the id of a connection too
}

// NamePage is a piece of a listing of rooms, users or namespaces.
type NamePage struct {
	Names []Named
	Next  string // cursor of the next page; empty: there is none
	Coverage
}

// next sets the cursor of the page behind p.
func (p *NamePage) next(more bool) {
	if more && len(p.Names) > 0 {
		p.Next = p.Names[len(p.Names)-1].Name
	}
}

// Counts is what [Server.Count] counted.
type Counts struct {
	Total  int            // connections, each once
	Groups map[string]int // see [GroupBy]; those without connections are not there
	Coverage
}

// add adds n connections to a group.
func (c *Counts) add(group string, n int) {
	if n > 0 {
		c.Groups[group] += n
	}
}

// Miss notes that a node took no part; each is named once.
func (c *Coverage) Miss(node string) {
	c.Partial = true
	if !slices.Contains(c.Unreachable, node) {
		c.Unreachable = append(c.Unreachable, node)
	}
}
