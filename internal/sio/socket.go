package sio

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// Socket is one client in one namespace: what the control API calls a
// connection. Its exported methods are safe for concurrent use.
type Socket struct {
	// Immutable.
	nsp  *Namespace
	conn *conn
	// session is conn's, and with encoding all that an emit reaches for, of each of many:
	// what lies together is fetched together.
	session  *engineio.Session
	encoding parser.Encoding // of what it reads
	id       string
	born     int64 // ns since 1970
	// pid is what the client may come back with after a cut: a secret. Empty: it
	// may not.
	pid string
	// auth is what is shown of what the client passed as auth; empty: nothing.
	auth     string
	recovery Recovery // what came of its wish to come back; Recovered: it has come back so, or wants to

	// gone is set, under Namespace.mu, when the socket leaves its namespace.
	gone atomic.Bool

	number atomic.Uint64 // see Number

	// user is whose it is, or was when it left the namespace; nil before it is a member.
	// It changes under Namespace.mu.
	user atomic.Pointer[string]

	// Guarded by Namespace.mu.
	entry       *room.Entry[*Socket]  // nil before the socket is a member
	pendingAcks map[uint64]ackAwaiter // by ack id: who awaits an answer; nil: nobody
	recovering  *offlineSession       // as what it comes back, before it is a member
	offline     *offlineSession       // as what it may come back, after it was a member
	history     *eventHistory         // nil: clients may not come back
	// admitted and granted are the user and the rooms that its admission gave it.
	admitted string
	granted  []string
	data     map[string]any // replaced, never changed: views share it
	// rooms are those that it had when it left the namespace.
	rooms  []string
	expiry *expiry // of its authorisation; nil: that lasts
}

// nobody is the user of those that have none.
var nobody string

func userOf(name string) *string {
	if name == "" {
		return &nobody
	}
	return &name
}

func newSocket(n *Namespace, c *conn, e parser.Encoding, auth []byte) *Socket {
	// Not the session's id, which is a secret.
	return &Socket{
		nsp: n, conn: c, session: c.session, id: engineio.NewID(c.server.opts.Engine.Epoch), born: time.Now().UnixNano(),
		encoding: e, auth: n.server.opts.Expose.auth(auth),
	}
}

// ID is what the client sees as socket.id.
func (s *Socket) ID() string { return s.id }

// User returns whose the socket is, or was when it left its namespace; false: it was never
// a member, and its admission will tell.
func (s *Socket) User() (name string, known bool) {
	if u := s.user.Load(); u != nil {
		return *u, true
	}
	return "", false
}

// Namespace is the name of the socket's namespace.
func (s *Socket) Namespace() string { return s.nsp.name }

// Connection returns a copy of what is known about the socket. It may be called
// while the socket is being decided on, when it has no rooms yet, or those of the
// connection that it wants to come back as, and after its end: then it says what
// the socket was when it left its namespace.
func (s *Socket) Connection() Connection {
	c := s.BasicConnection()
	c.Handshake = s.Handshake()
	return c
}

// BasicConnection is Connection without the handshake, which costs about as much as the
// rest and never changes.
func (s *Socket) BasicConnection() Connection {
	s.nsp.mu.Lock()
	c := s.viewLocked()
	s.nsp.mu.Unlock()
	s.completeView(&c)
	return c
}

// Recovered reports whether the socket is a connection that was cut off and has
// come back as what it was, or, while it is being decided on, wants to.
func (s *Socket) Recovered() bool { return s.recovery == Recovered }

// Recoverable reports whether the client may come back as the socket, which has ended:
// then the Backend hears of that, or of [Backend.RecoveryExpired].
func (s *Socket) Recoverable() bool {
	s.nsp.mu.Lock()
	defer s.nsp.mu.Unlock()
	return s.offline != nil
}

// Number returns 1, 2, 3 and so on, for the Backend to number what it hears of a
// connection: one that comes back goes on where it was cut.
func (s *Socket) Number() uint64 { return s.number.Add(1) }

// RemoteAddr is host:port of the client's peer.
func (s *Socket) RemoteAddr() string { return s.conn.handshake.remoteAddr }

// Handshake returns a copy of what is shown of the request that opened its session, and of
// the auth that came with its CONNECT.
func (s *Socket) Handshake() *Handshake {
	h := &s.conn.handshake
	return &Handshake{
		IssuedAt: time.Unix(0, h.issuedAt), Secure: s.conn.session.Secure(), URL: h.url(),
		Query: h.query(), Headers: asMap(h.headers), Auth: s.auth,
	}
}

// Authorization returns the Authorization header of the request that opened the
// session: a secret, for the Backend to decide by and never to pass on.
func (s *Socket) Authorization() string {
	if c := s.conn.handshake.credentials; c != nil {
		return c.authorization
	}
	return ""
}

// Secret returns a query parameter of Options.SecretQuery, under the same terms.
func (s *Socket) Secret(name string) string {
	c := s.conn.handshake.credentials
	if c == nil {
		return ""
	}
	for _, p := range c.query {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// Done is closed when the session under the socket closes.
func (s *Socket) Done() <-chan struct{} { return s.conn.session.Done() }

// Left reports whether the socket is no member of its namespace any more. Its session
// may live on.
func (s *Socket) Left() bool { return s.gone.Load() }

// Close closes the session under the socket, as a [Disconnect] of its transport
// does, with a reason of the caller's.
func (s *Socket) Close(reason string) { s.conn.session.Close(engineio.Reason(reason)) }

// Ack answers the event that awaits this ack id. args is the text of a JSON
// array, as in [Emit]. After the socket's end it does nothing. Errors:
// [ErrTooLarge].
func (s *Socket) Ack(id uint64, args []byte, attachments [][]byte) error {
	if s.gone.Load() {
		return nil
	}
	if len(args) == 0 {
		args = []byte("[]")
	}
	out := outgoing{
		packet: parser.Packet{
			Type: parser.Ack, Namespace: s.nsp.name, ID: id, HasID: true, Data: args, Attachments: attachments,
		},
		limit: s.nsp.server.engine.Options().MaxQueue,
	}
	msgs, err := out.encode(s.encoding)
	if err != nil {
		return err
	}
	if s.conn.session.Send(msgs...) {
		s.nsp.server.counters.acksSent.Add(1)
	}
	return nil
}

// viewLocked copies what Namespace.mu guards of the socket.
func (s *Socket) viewLocked() Connection {
	c := Connection{Data: s.data}
	if s.expiry != nil {
		c.Expire = s.expiry.at
	}
	switch {
	case s.gone.Load():
		c.UserID, c.Rooms = *s.user.Load(), slices.Clone(s.rooms)
	case s.entry != nil:
		c.UserID, c.Rooms = s.entry.User(), s.entry.Rooms()
	case s.recovering != nil:
		c.UserID, c.Rooms, c.Data = s.recovering.user, s.recovering.rooms, s.recovering.data
	}
	return c
}

// completeView adds what needs no lock of the namespace, but the handshake.
func (s *Socket) completeView(c *Connection) {
	session := s.conn.session
	c.Node = s.nsp.server.opts.Node
	c.ID, c.Namespace = s.id, s.nsp.name
	c.Transport, c.Protocol, c.Session = session.Transport(), session.Protocol(), session.Name()
	c.ConnectedAt, c.Recovery = time.Unix(0, s.born), s.recovery
	c.RemoteAddr = s.conn.handshake.remoteAddr
	c.VolatileDropped = session.Dropped()
	if !s.gone.Load() { // what waits is not its any more
		c.QueuedBytes = session.Queued()
	}
}
