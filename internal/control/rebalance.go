package control

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// Balance is how much the nodes of a cluster have; see RebalanceResponse.
type Balance struct {
	Nodes       []NodeLoad
	Unreachable []string
	Even        bool
}

// NodeLoad is how much one node has.
type NodeLoad struct {
	Name              string
	Sessions, Closing int
}

// What a RebalanceRequest may say; the contract states it.
const (
	minRebalance     = 5 * time.Second
	defaultRebalance = time.Minute
)

// Rebalance spreads sessions over the nodes until they are even, or the caller leaves.
func (a *Admin) Rebalance(req *fanoutv1.RebalanceRequest, stream grpc.ServerStreamingServer[fanoutv1.RebalanceResponse]) error {
	over := defaultRebalance
	if m := req.GetTime(); m != nil {
		over = m.AsDuration()
		if m.CheckValid() != nil || over < minRebalance || over > maxDrain {
			var p problems
			p.add("time", "must be from %v to %v", minRebalance, maxDrain)
			return p.err()
		}
	}
	if a.rebalance == nil {
		return status.Error(codes.FailedPrecondition, "there is no cluster")
	}
	ctx := stream.Context()
	a.log.InfoContext(ctx, "sessions are spread over the nodes", "over", over.String(), "caller", identity.FromContext(ctx).Name)
	err := a.rebalance(ctx, over, func(b Balance) error {
		m := &fanoutv1.RebalanceResponse{Unreachable: b.Unreachable, Even: b.Even}
		for _, n := range b.Nodes {
			m.Nodes = append(m.Nodes, &fanoutv1.RebalanceResponse_Node{Name: n.Name, Sessions: count(n.Sessions), Closing: count(n.Closing)})
		}
		return stream.Send(m)
	})
	if err != nil && ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return err
}
