package control

import (
	"fmt"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

const (
	// maxWatches bounds the watches at one node; the contract states it. Each costs
	// something with each change of what it watches.
	maxWatches = 100

	// maxWatchBytes ends a message early: whoever reads it by HTTP has all of it in memory.
	maxWatchBytes = 1 << 20
)

// watching is one Watch under way.
type watching struct {
	watch  sio.Watch
	names  watchedNames
	stream heartbeatSender[fanoutv1.WatchResponse]
	away   []string // the nodes that the reader was told do not answer
}

// Watch sends the headers when the watch has begun.
func (r *Registry) Watch(req *fanoutv1.WatchRequest, stream grpc.ServerStreamingServer[fanoutv1.WatchResponse]) error {
	ctx := stream.Context()
	p := problemsOf(ctx, "")
	request := toWatch(&p, req)
	request.Handshake = toView(&p, req.GetView()) == dispatch.ViewFull
	if p.any() {
		checkNamespace(ctx, r.hub, &p, request.To.Namespace, "to.namespace")
		return p.err()
	}
	select {
	case r.watches <- struct{}{}:
		defer func() { <-r.watches }()
	default:
		return newError(codes.ResourceExhausted, fmt.Sprintf("%d watch already", maxWatches), &errdetails.RetryInfo{RetryDelay: durationpb.New(retryTooMany)})
	}
	watch, err := r.hub.Watch(ctx, request)
	if err != nil {
		return hubError(err, &p, "to.namespace")
	}
	defer watch.Stop()
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	w := watching{watch: watch, names: newWatchedNames(), stream: newHeartbeatSender(stream)}
	defer w.stream.due.Stop()
	for {
		select {
		case <-watch.Ready():
			err = w.send(watch.Next())
		case <-w.stream.due.C:
			err = w.stream.send(&fanoutv1.WatchResponse{Heartbeat: true, Unreachable: w.away})
		case <-r.ending:
			return ErrClosing
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		if err != nil {
			return err
		}
	}
}

// toWatch converts a request, and holds it to the caller's limits.
func toWatch(p *problems, m *fanoutv1.WatchRequest) sio.WatchRequest {
	r := sio.WatchRequest{To: toTarget(p, m.GetTo()), Connections: len(m.GetKinds()) == 0}
	p.needEveryRoom("") // each connection is shown with all its rooms, and users may be in any
	if m.GetTo().GetOwner() != nil {
		p.add("to.owner", "whose connections are is not watched: a consumer is told of its own by `assignments`")
	}
	for i, k := range m.GetKinds() {
		switch k {
		case fanoutv1.WatchRequest_CONNECTIONS:
			r.Connections = true
		case fanoutv1.WatchRequest_ROOMS:
			r.Rooms = true
		case fanoutv1.WatchRequest_USERS:
			r.Users = true
		default:
			p.add(fmt.Sprintf("kinds[%d]", i), "%d is no value of this field", k)
		}
	}
	return r
}

// send sends what has happened, in as many messages as it needs. The last one says who is
// unreachable after that.
func (w *watching) send(events []sio.WatchEvent) error {
	m, bytes := &fanoutv1.WatchResponse{}, 0
	flush := func(away []string) error {
		if len(m.Changes) == 0 && slices.Equal(away, w.away) {
			return nil
		}
		w.away, m.Unreachable = away, away
		err := w.stream.send(m)
		m, bytes = &fanoutv1.WatchResponse{}, 0
		return err
	}
	for i := range events {
		changes, err := w.changes(&events[i])
		if err != nil {
			return unexpected(err)
		}
		for _, c := range changes {
			size := proto.Size(c)
			if bytes+size > maxWatchBytes {
				if err := flush(w.away); err != nil {
					return err
				}
			}
			m.Changes, bytes = append(m.Changes, c), bytes+size
		}
	}
	return flush(w.watch.Unreachable())
}

// changes is an event for the reader, to whom it is nothing or several things.
func (w *watching) changes(e *sio.WatchEvent) ([]*fanoutv1.WatchResponse_Change, error) {
	c := &fanoutv1.WatchResponse_Change{Node: e.Node}
	switch e.Kind {
	case sio.WatchAdded, sio.WatchUpdated:
		m, err := fromConnection(e.Connection, dataAsStruct, true)
		if err != nil {
			return nil, err
		}
		c.Change = &fanoutv1.WatchResponse_Change_Added{Added: &fanoutv1.WatchResponse_Added{Connection: m}}
		if e.Kind == sio.WatchUpdated {
			c.Change = &fanoutv1.WatchResponse_Change_Updated{Updated: &fanoutv1.WatchResponse_Updated{Connection: m}}
		}
	case sio.WatchRemoved:
		c.Change = &fanoutv1.WatchResponse_Change_Removed{Removed: &fanoutv1.WatchResponse_Removed{Namespace: e.Namespace, Id: e.ID, Reason: e.Reason}}
	case sio.WatchJoined:
		c.Change = &fanoutv1.WatchResponse_Change_Joined{Joined: &fanoutv1.WatchResponse_Joined{Namespace: e.Namespace, Id: e.ID, Rooms: e.Rooms}}
	case sio.WatchLeft:
		c.Change = &fanoutv1.WatchResponse_Change_Left{Left: &fanoutv1.WatchResponse_Left{Namespace: e.Namespace, Id: e.ID, Rooms: e.Rooms}}
	case sio.WatchRoomCreated, sio.WatchUserOnline:
		if n := nameOf(e); w.names.add(e.Node, n) {
			return []*fanoutv1.WatchResponse_Change{n.there()}, nil
		}
		return nil, nil
	case sio.WatchRoomDeleted, sio.WatchUserOffline:
		if n := nameOf(e); w.names.remove(e.Node, n) {
			return []*fanoutv1.WatchResponse_Change{n.gone()}, nil
		}
		return nil, nil
	case sio.WatchResync:
		w.names.doubt(e.Node)
		c.Node, c.Change = "", &fanoutv1.WatchResponse_Change_Resync{Resync: &fanoutv1.WatchResponse_Resync{Node: e.Node}}
	case sio.WatchSynced:
		var all []*fanoutv1.WatchResponse_Change
		for _, n := range w.names.settle(e.Node) {
			all = append(all, n.gone())
		}
		c.Node, c.Change = "", &fanoutv1.WatchResponse_Change_Synced{Synced: &fanoutv1.WatchResponse_Synced{Node: e.Node}}
		return append(all, c), nil
	}
	return []*fanoutv1.WatchResponse_Change{c}, nil
}
