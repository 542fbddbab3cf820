package control

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/drain"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// maxDrain bounds each of a drain's durations; the contract states it.
const maxDrain = 24 * time.Hour

// Drain begins a drain, and follows it until it is done or the caller leaves.
func (a *Admin) Drain(req *fanoutv1.DrainRequest, stream grpc.ServerStreamingServer[fanoutv1.DrainResponse]) error {
	if a.drain == nil {
		return status.Error(codes.Unimplemented, "this daemon cannot be drained")
	}
	var p problems
	atMost(&p, "node", req.GetNode(), maxNodeName)
	o := drain.Overrides{Delay: toPhase(&p, "delay", req.GetDelay()), Time: toPhase(&p, "time", req.GetTime())}
	if p.any() {
		return p.err()
	}
	node := req.GetNode()
	if node == "" {
		node = a.info.Node
	}
	ctx := stream.Context()
	audit := sync.OnceFunc(func() { a.audit(ctx, "an operator drains a node", "node", node) })
	err := a.drain(ctx, req.GetNode(), o, func(at drain.Progress) error {
		audit()
		return stream.Send(fromProgress(node, at))
	})
	if !errors.Is(err, sio.ErrNotFound) { // one that told of no progress may drain all the same
		audit()
	}
	return nodeError(ctx, node, err)
}

// maxNodeName bounds the name of a node in a request, in bytes.
const maxNodeName = 256

// toPhase converts a duration of a drain; nil: it is not set.
func toPhase(p *problems, field string, m *durationpb.Duration) *time.Duration {
	if m == nil {
		return nil
	}
	d := m.AsDuration()
	if m.CheckValid() != nil || d < 0 || d > maxDrain {
		p.add(field, "must be from 0 to %v", maxDrain)
	}
	return &d
}

// nodeError codes why what was asked of a node has failed.
func nodeError(ctx context.Context, node string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case errors.Is(err, sio.ErrNotFound):
		return status.Errorf(codes.NotFound, "no node %.64q", node)
	}
	if away := (*sio.UnreachableError)(nil); errors.As(err, &away) {
		return errUnreachable(away.Node)
	}
	return err
}

func fromProgress(node string, at drain.Progress) *fanoutv1.DrainResponse {
	m := &fanoutv1.DrainResponse{
		Node: node, Sessions: count(at.Sessions), Connections: count(at.Connections), Closed: count(at.Closed),
		Elapsed: durationpb.New(at.Elapsed), Delay: durationpb.New(at.Plan.Delay), Time: durationpb.New(at.Plan.Time),
	}
	switch at.Phase {
	case drain.Serving, drain.NotReady:
	case drain.Closing:
		m.Phase = fanoutv1.DrainResponse_CLOSING
	case drain.Consumers:
		m.Phase = fanoutv1.DrainResponse_CONSUMERS
	case drain.Done:
		m.Phase = fanoutv1.DrainResponse_DONE
	}
	return m
}
