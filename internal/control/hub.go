package control

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Hub is what the services need of the server that holds the connections. All methods
// may be called at once. A namespace that does not exist is
// [sio.ErrUnknownNamespace], whatever else is asked. A Hub that is shutting
// down may answer [sio.ErrClosed].
type Hub interface {
	// Apply carries out one operation, which is immutable from then on.
	// Operations of one caller on one namespace take effect in the order of
	// the calls. An Emit larger than clients accept is [sio.ErrTooLarge], and
	// an Update of an id that is not there [sio.ErrNotFound].
	Apply(ctx context.Context, op sio.Op) (sio.Result, error)

	// EmitWithAck sends one event and calls yield with what becomes of each connection
	// it was sent to, as it happens; see [sio.Server.EmitWithAck]. Too many at once are
	// [sio.ErrBusy].
	EmitWithAck(ctx context.Context, request sio.AckRequest, yield func(sio.AckResult) bool) (sio.AckSummary, error)

	// Connections returns up to limit connections of to, beginning behind cursor,
	// which is empty or comes from an earlier page of the same target: a page's
	// Next, or the Cursor of one of its connections. The order is the Hub's own;
	// a connection that is in the target all the while is listed once. A cursor
	// that the Hub cannot go on from is [sio.ErrBadCursor].
	Connections(ctx context.Context, to sio.Target, cursor string, limit int) (sio.ConnectionPage, error)

	// Connection returns one connection, or [sio.ErrNotFound].
	Connection(ctx context.Context, namespace, id string) (sio.Connection, error)

	// HasNamespace reports whether there can be connections in this namespace:
	// whether everything else would not be [sio.ErrUnknownNamespace].
	HasNamespace(ctx context.Context, namespace string) (bool, error)

	// Count counts the connections of to. With [sio.GroupNamespace] an empty
	// to.Namespace spans every namespace.
	Count(ctx context.Context, to sio.Target, by sio.GroupBy) (sio.Counts, error)

	// Rooms returns up to limit rooms that the filter lets through, ordered by name,
	// beginning behind cursor, which is empty or the Next of an earlier page.
	Rooms(ctx context.Context, namespace string, filter sio.RoomFilter, cursor string, limit int) (sio.NamePage, error)

	// Users does for the users of a namespace, whose names have this prefix, what Rooms
	// does for rooms.
	Users(ctx context.Context, namespace, prefix, cursor string, limit int) (sio.NamePage, error)

	// Namespaces does for namespaces with this prefix what Rooms does for rooms.
	Namespaces(ctx context.Context, prefix, cursor string, limit int) (sio.NamePage, error)

	// Watch begins a watch, which goes on after the end of ctx; see [sio.Server.Watch].
	// What it tells has the name of the node that it is about: each node's rooms and users
	// are its own, and so are the order of its events and its Resync and Synced. A Synced
	// of no node says, once, that all have told what there was. Too many are [sio.ErrBusy].
	Watch(ctx context.Context, request sio.WatchRequest) (sio.Watch, error)
}

// Submitter is a Hub whose Apply waits for other nodes, and need not to keep the order.
type Submitter interface {
	// Submit is Apply, and returns when the operation has its place in the order. If
	// wait is not nil it is to be called once, and returns what Apply would have; then
	// an operation that is submitted before it returns may miss members which a Join has
	// given a room of its target, at nodes that had none.
	Submit(ctx context.Context, op sio.Op) (result sio.Result, wait func() (sio.Result, error), err error)
}

// Caller is a Hub that can ask one connection for an ack without a goroutine that waits.
type Caller interface {
	// Call is EmitWithAck to the one id of the request's target, and returns when the event
	// has its place in the order; see [sio.Server.Call]. An id that is not there is
	// [sio.ErrNotFound], and one that may be at another node [sio.ErrElsewhere]: then
	// EmitWithAck finds out.
	Call(ctx context.Context, request sio.AckRequest, done func(sio.AckResult)) (cancel func(), err error)
}

var (
	_ Hub    = (*sio.Server)(nil)
	_ Caller = (*sio.Server)(nil)
)
