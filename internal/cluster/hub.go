package cluster

import (
	"context"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Hub is a server that holds connections. [sio.Server] is one, and describes the
// methods; a [Node] is one over several.
type Hub interface {
	Apply(ctx context.Context, op sio.Op) (sio.Result, error)
	EmitWithAck(ctx context.Context, request sio.AckRequest, yield func(sio.AckResult) bool) (sio.AckSummary, error)
	Call(ctx context.Context, request sio.AckRequest, done func(sio.AckResult)) (cancel func(), err error)
	Connections(ctx context.Context, to sio.Target, cursor string, limit int) (sio.ConnectionPage, error)
	Connection(ctx context.Context, namespace, id string) (sio.Connection, error)
	HasNamespace(ctx context.Context, namespace string) (bool, error)
	Count(ctx context.Context, to sio.Target, by sio.GroupBy) (sio.Counts, error)
	Rooms(ctx context.Context, namespace string, filter sio.RoomFilter, cursor string, limit int) (sio.NamePage, error)
	Users(ctx context.Context, namespace, prefix, cursor string, limit int) (sio.NamePage, error)
	Namespaces(ctx context.Context, prefix, cursor string, limit int) (sio.NamePage, error)
	Watch(ctx context.Context, request sio.WatchRequest) (sio.Watch, error)
}

// Server is a [Hub] whose connections may be moved to other servers; see [sio.Others].
// [sio.Server] is one.
type Server interface {
	Hub
	ClaimOffline(ctx context.Context, namespace, pid, offset string) (sio.OfflineSession, error)
	TakeOffline(namespace, pid, offset string, claim uint64, have []sio.Origin) (sio.Missed, error)
	ReleaseOffline(namespace, pid string, claim uint64)
	ClaimAll(namespace string) []sio.OfflineSession
	TakeAll(namespace string, claims []sio.OfflineSession, have []sio.Origin) sio.Handover
	TakeOver(ctx context.Context, holder, namespace string) (int, error)
	OfflineNamespaces() []string
	OpenSessions() int
	CloseOldest(ctx context.Context, n int, over time.Duration) int
}

var (
	_ Server = (*sio.Server)(nil)
	_ Hub    = (*sio.Server)(nil)
	_ Hub    = (*Node)(nil)
)
