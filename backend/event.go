package backend

import (
	"context"
	"sync/atomic"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Conn is one client in one namespace, what Socket.IO calls a server-side
// socket. It goes on naming that connection after the handler has returned.
//
// What its methods do to a connection that is gone is no error. That the node of a cluster does not answer
// which may have it is one, a [*PartialError] whose Count is 0: it may be done or not.
type Conn struct {
	ID        string // what the client sees as socket.id
	Namespace string // with its leading slash
	UserID    string // empty: none

	client *Client
}

// Target means this connection only.
func (c Conn) Target() Target { return IDs(c.ID).In(c.Namespace) }

// Emit sends an event to this connection. For the arguments see [NewEmit].
func (c Conn) Emit(ctx context.Context, event string, args ...any) error {
	return one(c.client.Emit(ctx, c.Target(), event, args...))
}

// Join puts the connection into rooms.
func (c Conn) Join(ctx context.Context, rooms ...string) error {
	return one(c.client.Join(ctx, c.Target(), rooms...))
}

// Leave takes the connection out of rooms.
func (c Conn) Leave(ctx context.Context, rooms ...string) error {
	return one(c.client.Leave(ctx, c.Target(), rooms...))
}

// Disconnect ends the connection.
func (c Conn) Disconnect(ctx context.Context, o DisconnectOptions) error {
	return one(c.client.Disconnect(ctx, c.Target(), o))
}

// Update changes the connection.
func (c Conn) Update(ctx context.Context, u Update) error {
	return one(c.client.Update(ctx, c.Target(), u))
}

// Event is one thing that a connection did.
type Event struct {
	Conn

	// Name of what the client emitted. Empty for the events of OnConnecting,
	// OnConnect, OnDisconnect and OnRecoveryExpired.
	Name string

	// Args are the event's arguments; of OnConnecting one, what the client gave
	// as auth, or none without it.
	Args Args

	// Reason says to OnDisconnect why, in Socket.IO's words: "transport close".
	Reason string

	// Cause is Reason for programs. Detail is what is known beside it, for people,
	// such as the reason that a backend gave for a Disconnect; often empty.
	Cause  fanoutv1.Event_Cause
	Detail string

	// Recoverable says to OnDisconnect that the client may still come back as this
	// connection: then OnConnect hears of that, or OnRecoveryExpired that it cannot.
	Recoverable bool

	// Recovery says to OnRecoveryExpired why. What OnConnect may want to know of it is in
	// Connection.
	Recovery fanoutv1.Connection_Recovery

	// Existing says to OnConnect that the connection was there before any member of
	// the group asked for it: before the first one ran, or the daemon had it back.
	Existing bool

	// Sequence counts the connection's events from 1, those that nobody asked
	// for included.
	Sequence uint64

	// Attempt is 1 at first. More: the event was delivered before, here or to
	// another consumer, and may have been handled.
	Attempt int

	// ReplyExpected says that the client waits for a reply.
	ReplyExpected bool

	// ReceivedAt is when it happened, by the daemon's clock.
	ReceivedAt time.Time

	// Connection is all that is known about the connection; its data are in
	// DataJson. OnDisconnect gets what it was at its end, rooms and data included;
	// messages have it if ConsumerOptions.IncludeConnection says so. Otherwise nil.
	Connection *fanoutv1.Connection

	deliveryID string
	replied    *atomic.Bool // Commands.Reply answers it; nil if no reply is expected
}

// Key names the event, the same at every attempt and for every group, and
// different for every other event.
func (e *Event) Key() string { return e.deliveryID }

func (c *Client) event(e *fanoutv1.Event) *Event {
	event := &Event{
		Conn:          Conn{ID: e.GetConnectionId(), Namespace: e.GetNamespace(), UserID: e.GetUserId(), client: c},
		Name:          e.GetEvent(),
		Args:          Args{text: e.GetArgsJson(), attachments: e.GetAttachments()},
		Reason:        e.GetReason(),
		Cause:         e.GetCause(),
		Detail:        e.GetDetail(),
		Recoverable:   e.GetRecoverable(),
		Recovery:      e.GetRecovery(),
		Existing:      e.GetExisting(),
		Sequence:      e.GetSequence(),
		Attempt:       int(e.GetAttempt()),
		ReplyExpected: e.GetReplyExpected(),
		ReceivedAt:    e.GetReceivedAt().AsTime(),
		Connection:    e.GetConnection(),
		deliveryID:    e.GetDeliveryId(),
	}
	if event.ReplyExpected {
		event.replied = &atomic.Bool{}
	}
	return event
}
