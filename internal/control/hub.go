package control

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Hub is what the services need of whoever holds the connections. All methods
// may be called at once. A namespace that does not exist is
// [sio.ErrUnknownNamespace], whatever else is asked. A Hub that is shutting
// down may answer [sio.ErrClosed].
type Hub interface {
	// Apply carries out one operation, which is immutable from then on.
	// Operations of one caller on one namespace take effect in the order of
	// the calls. An Emit larger than clients accept is [sio.ErrTooLarge], and
	// an Update of an id that is not there [sio.ErrNotFound].
	Apply(ctx context.Context, op sio.Op) (sio.Result, error)

	// Ask sends one event and calls yield with what becomes of each connection
	// it was sent to, as it happens; see [sio.Server.Ask]. Too many at once are
	// [sio.ErrBusy].
	Ask(ctx context.Context, ask sio.Ask, yield func(sio.Outcome) bool) (sio.Tally, error)

	// Connections returns up to limit connections of to whose Seq is above
	// after, ordered by Seq, and whether there are more.
	Connections(ctx context.Context, to sio.Target, after uint64, limit int) (page []sio.Connection, more bool, err error)

	// Connection returns one connection, or [sio.ErrNotFound].
	Connection(ctx context.Context, namespace, id string) (sio.Connection, error)

	// Count counts the connections of to. With [sio.GroupNamespace] an empty
	// to.Namespace spans every namespace.
	Count(ctx context.Context, to sio.Target, by sio.GroupBy) (map[string]int, error)

	// Rooms returns up to limit rooms with this prefix and names above after,
	// ordered by name, and whether there are more.
	Rooms(ctx context.Context, namespace, prefix, after string, limit int) (page []sio.Named, more bool, err error)

	// Namespaces does for namespaces what Rooms does for rooms.
	Namespaces(ctx context.Context, prefix, after string, limit int) (page []sio.Named, more bool, err error)
}
