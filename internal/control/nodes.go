package control

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Node is what is known of another node of the cluster.
type Node struct {
	Name        string
	Epoch       string // what the ids of its connections begin with
	Version     string
	Suspected   bool      // it does not answer
	Since       time.Time // when that began, or when it answered first
	Connections int       // as it said last
	Load        float64   // likewise; see loadmeter.Load
	Activity    *Activity // likewise; nil: it has not said

	// What the links between it and this node have carried; see ListNodesResponse.Node.Link.
	Sent, Received, Repaired, Refused, Dropped uint64
}

// Activity is what a node does for browsers; see ListNodesResponse.Node.Activity.
type Activity struct {
	At       time.Time      // by the node's clock
	Sessions map[string]int // open, by transport
	Queued   int            // bytes that wait to be written to browsers
	Received uint64         // events from browsers
	Sent     uint64         // events queued for browsers
	Emits    uint64
	FanOut   time.Duration // that the emits took, together
}

func (a *Admin) ListNodes(_ context.Context, _ *fanoutv1.ListNodesRequest) (*fanoutv1.ListNodesResponse, error) {
	own := &fanoutv1.ListNodesResponse_Node{
		Name: a.info.Node, Epoch: a.info.Epoch, Version: a.info.Version, Self: true, State: fanoutv1.ListNodesResponse_Node_ALIVE, Since: timestamppb.New(a.info.StartedAt),
	}
	if a.info.Connections != nil {
		own.Connections = count(a.info.Connections())
	}
	if a.info.Load != nil {
		own.Load = a.info.Load()
	}
	if a.info.Activity != nil {
		activity := a.info.Activity()
		own.Activity = fromActivity(&activity)
	}
	resp := &fanoutv1.ListNodesResponse{Nodes: []*fanoutv1.ListNodesResponse_Node{own}}
	if a.nodes != nil {
		for _, n := range a.nodes() {
			resp.Nodes = append(resp.Nodes, fromNode(&n))
		}
	}
	slices.SortFunc(resp.Nodes, func(a, b *fanoutv1.ListNodesResponse_Node) int {
		return strings.Compare(a.GetName()+"\x00"+a.GetEpoch(), b.GetName()+"\x00"+b.GetEpoch())
	})
	return resp, nil
}

func fromNode(n *Node) *fanoutv1.ListNodesResponse_Node {
	m := &fanoutv1.ListNodesResponse_Node{
		Name: n.Name, Epoch: n.Epoch, Version: n.Version, Since: timestamppb.New(n.Since), State: fanoutv1.ListNodesResponse_Node_ALIVE, Connections: count(n.Connections), Load: n.Load, Activity: fromActivity(n.Activity),
		Link: &fanoutv1.ListNodesResponse_Node_Link{
			Sent: n.Sent, Received: n.Received, Repaired: n.Repaired, Refused: n.Refused, Dropped: n.Dropped,
		},
	}
	if n.Suspected {
		m.State = fanoutv1.ListNodesResponse_Node_SUSPECTED
	}
	return m
}

func fromActivity(a *Activity) *fanoutv1.ListNodesResponse_Node_Activity {
	if a == nil {
		return nil
	}
	return &fanoutv1.ListNodesResponse_Node_Activity{
		At: timestamppb.New(a.At), Sessions: counts(a.Sessions), QueuedBytes: uint64(max(a.Queued, 0)),
		EventsReceived: a.Received, EventsSent: a.Sent, Emits: a.Emits, FanoutTime: durationpb.New(a.FanOut),
	}
}
