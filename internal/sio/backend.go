package sio

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// Reasons of a socket's end that are its session's.
const (
	ReasonTransportClose = string(engineio.ReasonTransportClose)
	ReasonTransportError = string(engineio.ReasonTransportError)
	ReasonPingTimeout    = string(engineio.ReasonPingTimeout)
	ReasonParseError     = string(engineio.ReasonParseError)
	ReasonSlowConsumer   = string(engineio.ReasonSlowConsumer)
	ReasonForcedServer   = string(engineio.ReasonForcedServer)
	ReasonShutdown       = string(engineio.ReasonShutdown)
	ReasonForcedClose    = string(engineio.ReasonForcedClose)
	ReasonConnectTimeout = string(engineio.ReasonConnectTimeout)
	ReasonPendingLimit   = string(engineio.ReasonPendingLimit)
	ReasonInternalError  = string(engineio.ReasonInternalError)
	ReasonMaxAge         = string(engineio.ReasonMaxAge)
	ReasonRebalance      = string(engineio.ReasonRebalance)
)

// Reasons of a socket's end that are not its session's. The words are the
// reference's (socket.io/lib/socket-types.ts).
const (
	ReasonClientDisconnect = "client namespace disconnect"
	ReasonServerDisconnect = "server namespace disconnect"
	// ReasonReplaced, ours, ends a socket whose client connected to its namespace
	// once more within its session.
	ReasonReplaced = "replaced"
	// ReasonAttachmentTimeout, ours, ends a session that began a packet and did
	// not send its attachments in time.
	ReasonAttachmentTimeout = "attachment timeout"
	// ReasonUnknownParser, ours, ends a session whose client writes its packets as
	// no parser does that is known here.
	ReasonUnknownParser = "unknown parser"
	// ReasonExpired, ours, ends a session whose authorisation ran out; the stock
	// client comes back by itself, with a new token if its page has one.
	ReasonExpired = "authorization expired"
	// ReasonUnavailable, ours, ends a session that is in no namespace, since
	// nobody could decide whether its client may be in one; the stock client
	// comes back by itself.
	ReasonUnavailable = "authorization unavailable"
	// ReasonConnectOverflow, ours, ends a session that sent too much for a
	// namespace before its CONNECT was answered.
	ReasonConnectOverflow = "too much before the connection"
)

// sessionReasons end a session, beside engineio's own.
var sessionReasons = []string{
	ReasonAttachmentTimeout, ReasonUnknownParser, ReasonExpired, ReasonUnavailable, ReasonConnectOverflow,
}

// reasons end a socket.
var reasons = slices.Concat(sessionReasons, engineio.Reasons, []string{ReasonClientDisconnect, ReasonServerDisconnect, ReasonReplaced, ReasonNotRecovered})

// Backend is what the server tells what browsers do. Calls for one socket
// come one at a time and in the order of what happened: Connecting, Connected, any
// number of Event, Disconnected; one whose client leaves while it is being decided
// on has no Connected. Calls for all sockets of one session come one at a time too,
// but for Connecting, which holds up nothing else. Other sessions' calls run
// concurrently. A call may block to slow that browser down; it must return soon
// after [Socket.Done].
type Backend interface {
	// Connecting decides whether the socket may join its namespace, and as whom.
	// auth is the JSON object the client sent, nil if none. A [*Refusal] is sent
	// to the client as it is; after an [*Unavailable] the client is to come back,
	// or is asked about again with another socket; any other error refuses with a
	// message that tells nothing. The socket is no member yet: operations do not
	// find it. It must return soon after ctx ends, which it does when the client
	// leaves the namespace or goes.
	Connecting(ctx context.Context, s *Socket, auth []byte) (Admission, error)
	// Connected follows when the socket is a member, its reply queued.
	Connected(s *Socket)
	// Event is one event of the browser. It owns what e refers to.
	Event(s *Socket, e Event)
	// Disconnected is the last call for a socket that Connecting admitted.
	// [Socket.Connection] tells then what the socket was at its end.
	Disconnected(s *Socket, end End)
	// RecoveryExpired follows Disconnected, once, for a connection that its client could
	// have come back as and cannot any more: its time is up, or another [Recovery] says
	// why. A server that closes leaves it out. It may be called while another socket of
	// that client is being decided on.
	RecoveryExpired(LostConnection)
}

// LostConnection is a connection that was cut off and cannot be come back to any more.
type LostConnection struct {
	Namespace, ID, User string
	Number              uint64 // as of [Socket.Number]
	Why                 Recovery
}

// End is why a socket ended.
type End struct {
	Reason string // one of those above, or of engineio.Reason, or what Socket.Close was told
	Detail string // what is known beside it, for people; valid UTF-8 of maxDetail bytes at most, often empty
}

// maxDetail bounds what is kept of a detail, in bytes: it may repeat what a peer
// wrote.
const maxDetail = 256

func newEnd(reason, detail string) End {
	detail = valid(detail)
	if len(detail) > maxDetail {
		cut := maxDetail
		for !utf8.RuneStart(detail[cut]) {
			cut--
		}
		detail = detail[:cut]
	}
	return End{Reason: reason, Detail: detail}
}

// Event is an event from a browser.
type Event struct {
	Name        string
	Args        string // JSON array text, verbatim, without the name
	Attachments [][]byte
	AckID       uint64 // answers go to [Socket.Ack]; valid if WantsAck
	WantsAck    bool
}

// Admission is what a socket starts with. The zero Admission is a connection
// of no user that lasts.
type Admission struct {
	User   string
	Rooms  []string       // besides the room of its own id
	Data   map[string]any // handed over
	Expire time.Time      // zero: never; the session closes then
}

// noBackend is the Backend of a server nobody listens to: everybody may connect,
// events go nowhere.
type noBackend struct{}

func (noBackend) Connecting(context.Context, *Socket, []byte) (Admission, error) {
	return Admission{}, nil
}
func (noBackend) Connected(*Socket)              {}
func (noBackend) Event(*Socket, Event)           {}
func (noBackend) Disconnected(*Socket, End)      {}
func (noBackend) RecoveryExpired(LostConnection) {}
