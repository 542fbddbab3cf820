package control

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/idempotency"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// Info is what the daemon tells about itself by AdminService.GetServerInfo.
type Info struct {
	Version      string // of the release; default "dev"
	Commit       string // empty: unknown
	Node         string // this node's name
	Epoch        string // what the ids of its connections begin with; empty: nothing in particular
	StartedAt    time.Time
	Connections  func() int      // of this node; may be nil
	Load         func() float64  // how busy this node is, see loadmeter.Load; may be nil
	Activity     func() Activity // of this node; may be nil
	Listeners    []Listener
	MaxRequest   int // bytes of one request to the services; default DefaultMaxRequest
	MaxPayload   int // bytes of one message from a browser
	PingInterval time.Duration
	PingTimeout  time.Duration
}

// Listener is one address that the daemon serves.
type Listener struct {
	Name    string // who it is for: "browsers", "backends" or "operators"
	Address string // host:port, or unix:PATH
}

// Admin is the AdminService.
type Admin struct {
	fanoutv1.UnimplementedAdminServiceServer

	hub        Hub
	dispatcher Dispatcher // nil: there are no consumers
	nodes      func() []Node
	drain      func(ctx context.Context, node string, o drain.Overrides, yield func(drain.Progress) error) error
	rebalance  func(ctx context.Context, over time.Duration, yield func(Balance) error) error
	info       Info
	errors     *ErrorReporter
	log        *slog.Logger
}

// newAdmin returns the AdminService over hub. Without a version in the Info it is "dev".
func newAdmin(hub Hub, o *Options, errors *ErrorReporter) *Admin {
	a := &Admin{hub: hub, dispatcher: o.Dispatcher, nodes: o.Nodes, drain: o.Drain, rebalance: o.Rebalance, info: o.Info, errors: errors, log: o.Logger}
	if a.info.Version == "" {
		a.info.Version = "dev"
	}
	return a
}

var _ fanoutv1.AdminServiceServer = (*Admin)(nil)

// audit logs what an operator changed, and who it was.
func (a *Admin) audit(ctx context.Context, msg string, args ...any) {
	if caller := identity.FromContext(ctx).Name; caller != "" {
		args = append(args, "caller", caller)
	}
	a.log.InfoContext(ctx, msg, args...)
}

func (a *Admin) GetServerInfo(ctx context.Context, _ *fanoutv1.GetServerInfoRequest) (*fanoutv1.GetServerInfoResponse, error) {
	resp := &fanoutv1.GetServerInfoResponse{
		Version:         a.info.Version,
		Commit:          a.info.Commit,
		GoVersion:       runtime.Version(),
		Node:            a.info.Node,
		StartedAt:       timestamppb.New(a.info.StartedAt),
		MaxPayloadBytes: count(a.info.MaxPayload),
		PingInterval:    durationpb.New(a.info.PingInterval),
		PingTimeout:     durationpb.New(a.info.PingTimeout),
		Limits: &fanoutv1.GetServerInfoResponse_Limits{
			MaxRequestBytes:  count(a.info.MaxRequest),
			MaxResponseBytes: maxResponseBytes,
			MaxAttachments:   parser.MaxAttachments,
			MaxBatch:         maxBatch,
			MaxPageSize:      maxPage,
			IdempotencyKeys:  idempotency.Count,
			IdempotencyTtl:   durationpb.New(idempotency.TTL),
			MaxEventBytes:    count(maxEventBytes(a.info.MaxPayload)),
			MaxInFlight:      maxInFlight,
		},
	}
	for _, l := range a.info.Listeners {
		resp.Listeners = append(resp.Listeners, &fanoutv1.GetServerInfoResponse_Listener{Name: l.Name, Address: l.Address})
	}
	connections, rooms := 0, 0
	for cursor, more := "", true; more; {
		page, err := a.hub.Namespaces(ctx, "", cursor, maxPage)
		if err != nil {
			return nil, hubError(err, &problems{}, "")
		}
		for _, n := range page.Names {
			resp.Namespaces = append(resp.Namespaces, n.Name)
			connections += n.Connections
			rooms += n.Rooms
		}
		cursor, more = page.Next, page.Next != ""
	}
	resp.Connections, resp.Rooms = count(connections), count(rooms)
	return resp, nil
}
