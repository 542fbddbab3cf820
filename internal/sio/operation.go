package sio

import (
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// Target says which connections an operation means: of the union that a
// [room.Selector] describes, inside one namespace, those of the Owner. The zero Target selects
// nobody; callers that want everybody say so with All.
type Target struct {
	// Namespace always has its leading slash; "/" is the default namespace. A pattern means
	// all that match it and are there; see [EveryNamespace].
	Namespace string
	room.Selector
	Owner Owner
}

// Op is one operation on the connections of one namespace: [Emit], [Join],
// [Leave], [Disconnect], [Update] or [UpdateAll]. The set is sealed, so that whatever
// carries operations (this process, later a bus) can handle every one of them.
// An Op and everything it points to is immutable once it has been handed over.
type Op interface {
	target() Target
}

// Emit sends one event to every connection of its target, each exactly once.
type Emit struct {
	To    Target
	Event string
	// Args is the text of a JSON array holding the event's arguments, embedded
	// verbatim: key order and large integers survive. Empty means no arguments.
	// It must be valid JSON; each attachment stands in it exactly as
	// {"_placeholder":true,"num":i}.
	Args        []byte
	Attachments [][]byte // at most parser.MaxAttachments
	// Volatile drops the event for every connection that cannot take it at
	// once, instead of queueing it.
	Volatile bool
	// ConflateKey has the event replace, in the queue of each connection of its target, the
	// one with the same key that still waits there: that is dropped, and this one comes last. A
	// key means the same for all events of a namespace, and nothing for a Volatile one, which
	// does not wait for the next. Empty: it replaces nothing and is not replaced.
	ConflateKey string
	// Compress is a hint for transports that negotiated compression.
	Compress bool
	// Applied asks whoever carries the event to other servers to answer when they have
	// queued it. A [Server] has queued it in any case.
	Applied bool
	// Origin names an event that another server has carried out already, so that a
	// client which is sent it by both can be told it once. The zero Origin: this server
	// is the first.
	Origin Origin
}

// Origin names an event among all servers: by the one that was the first to carry it
// out, and the number that this gave it ([Result.Number]).
type Origin struct {
	Epoch  string // see engineio.Options.Epoch
	Number uint64 // from 1; 0: it has no name
}

// Join adds rooms to every connection of the target; rooms it is in already
// are left as they are.
type Join struct {
	To    Target
	Rooms []string
	By    Actor
}

// Leave removes rooms from every connection of the target; rooms it is not in
// are ignored.
type Leave struct {
	To    Target
	Rooms []string
	By    Actor
}

// Disconnect ends every connection of the target.
type Disconnect struct {
	To   Target
	Mode DisconnectMode
	// Reason goes with what the Backend hears, as [End.Detail]. Optional.
	Reason string
	By     Actor
}

// DisconnectMode says what a [Disconnect] ends beside the connection, and what the
// client makes of it.
type DisconnectMode int

// The modes.
const (
	// DisconnectNamespace sends DISCONNECT for this namespace only: the stock client
	// stays away from it.
	DisconnectNamespace DisconnectMode = iota
	// DisconnectTransport closes the Engine.IO session under the connection without
	// a DISCONNECT packet: the stock client comes back by itself. Every namespace
	// multiplexed over that session ends with it.
	DisconnectTransport
	// DisconnectSession sends DISCONNECT for every namespace that the client is in,
	// or wants to be in, and closes the session: the stock client stays away. The
	// reference's disconnect(true) does so (socket.io/lib/client.ts, _disconnect),
	// but for the namespaces whose CONNECT is not answered yet.
	DisconnectSession
)

// Update changes the one connection ID.
type Update struct {
	Namespace string
	ID        string
	Changes
}

// UpdateAll changes every connection of the target, or none if it may not change one.
type UpdateAll struct {
	To Target
	Changes
}

// Changes are what an [Update] changes of a connection.
type Changes struct {
	// Data is merged into what is stored with the connection: keys with a nil value are
	// removed, others are set.
	Data map[string]any
	// Replace has Data stored in place of what was.
	Replace bool
	// Expire moves the time at which the connection's authorisation runs out;
	// zero leaves it as it is.
	Expire time.Time
	// Lasting has the authorisation not run out any more.
	Lasting bool
	// User is whose the connection is from now on, empty: nobody's; nil leaves it as it is.
	// A client that comes back may be admitted as who it was admitted as before, too, and
	// keeps this user. One that is away and meant as well cannot come back any more.
	User *string
	By   Actor
}

// TargetOf returns whom an operation means.
func TargetOf(op Op) Target { return op.target() }

func (o Emit) target() Target       { return o.To }
func (o Join) target() Target       { return o.To }
func (o Leave) target() Target      { return o.To }
func (o Disconnect) target() Target { return o.To }
func (o UpdateAll) target() Target  { return o.To }
func (o Update) target() Target {
	return Target{Namespace: o.Namespace, Selector: room.Selector{IDs: []string{o.ID}}}
}

// Result is what an operation did.
type Result struct {
	// Matched counts the connections the target selected: for an Emit those the
	// event was queued for (a volatile one may be fewer than selected), for an
	// Update 0 or 1, for a Disconnect of sessions all that ended with them.
	Matched int
	// Forwarded counts the other nodes that an Emit was sent to and whose matches are
	// not in Matched, since nobody waited for them.
	Forwarded int
	// Number is that of an Emit whose event clients may be sent again, when they come
	// back; see [Origin]. 0: they are not.
	Number uint64
	Coverage
}
