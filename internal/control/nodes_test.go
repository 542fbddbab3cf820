package control

import (
	"context"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestListNodes(t *testing.T) {
	since := time.Unix(1_700_000_000, 0)
	does := Activity{At: since.Add(time.Hour), Sessions: map[string]int{"websocket": 6, "polling": 0}, Queued: 5, Received: 4, Sent: 3, Emits: 2, FanOut: time.Second}
	list := func(nodes func() []Node) []*fanoutv1.ListNodesResponse_Node {
		_, conn := dial(t, newMemHub(), Options{
			Info:  Info{Node: "b", Epoch: "bbbbb", StartedAt: since, Connections: func() int { return 7 }, Load: func() float64 { return 0.5 }, Activity: func() Activity { return does }},
			Nodes: nodes,
		})
		resp, err := fanoutv1.NewAdminServiceClient(conn).ListNodes(t.Context(), &fanoutv1.ListNodesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetNodes()
	}
	if alone := list(nil); len(alone) != 1 || !alone[0].GetSelf() || alone[0].GetName() != "b" || alone[0].GetConnections() != 7 || alone[0].GetLoad() != 0.5 || alone[0].GetLink() != nil {
		t.Errorf("without a cluster: %v", alone)
	}
	got := list(func() []Node {
		return []Node{
			{Name: "c", Epoch: "ccccc", Version: "v2", Since: since, Connections: 3, Load: 0.25, Activity: &does, Sent: 1, Received: 2, Repaired: 3, Refused: 4, Dropped: 5},
			{Name: "a", Epoch: "aaaaa", Suspected: true, Since: since},
		}
	})
	if len(got) != 3 || got[0].GetName() != "a" || !got[1].GetSelf() || got[2].GetName() != "c" {
		t.Fatalf("the list: %v", got)
	}
	if got[0].GetState() != fanoutv1.ListNodesResponse_Node_SUSPECTED || got[2].GetState() != fanoutv1.ListNodesResponse_Node_ALIVE {
		t.Errorf("states: %v", got)
	}
	if l := got[2].GetLink(); l.GetSent() != 1 || l.GetReceived() != 2 || l.GetRepaired() != 3 || l.GetRefused() != 4 || l.GetDropped() != 5 ||
		got[2].GetConnections() != 3 || got[2].GetLoad() != 0.25 || got[2].GetVersion() != "v2" || !got[2].GetSince().AsTime().Equal(since) {
		t.Errorf("c: %v", got[2])
	}
	if got[0].GetActivity() != nil {
		t.Errorf("of a node that has not said what it does: %v", got[0])
	}
	for _, n := range got[1:] {
		a := n.GetActivity()
		if !a.GetAt().AsTime().Equal(does.At) || len(a.GetSessions()) != 1 || a.GetSessions()["websocket"] != 6 || a.GetQueuedBytes() != 5 ||
			a.GetEventsReceived() != 4 || a.GetEventsSent() != 3 || a.GetEmits() != 2 || a.GetFanoutTime().AsDuration() != time.Second {
			t.Errorf("what %s does: %v", n.GetName(), a)
		}
	}
}

// awayHub is a cluster's Hub whose other node, "far", does not answer.
type awayHub struct{ Hub }

func (h awayHub) Apply(ctx context.Context, op sio.Op) (sio.Result, error) {
	if _, ok := op.(sio.Update); ok {
		return sio.Result{}, &sio.UnreachableError{Node: "far"}
	}
	r, err := h.Hub.Apply(ctx, op)
	r.Miss("far")
	if e, ok := op.(sio.Emit); ok && !e.Applied {
		r.Forwarded = 2
	}
	return r, err
}

func (h awayHub) Connection(context.Context, string, string) (sio.Connection, error) {
	return sio.Connection{}, &sio.UnreachableError{Node: "far"}
}

func (h awayHub) EmitWithAck(context.Context, sio.AckRequest, func(sio.AckResult) bool) (sio.AckSummary, error) {
	var s sio.AckSummary
	s.Miss("far")
	return s, nil
}

// TestNodeAway: what only a node could do that does not answer is UNAVAILABLE, and
// what others did is told with its name.
func TestNodeAway(t *testing.T) {
	_, conn := dial(t, awayHub{newMemHub()}, Options{})
	registry, emitter := fanoutv1.NewRegistryServiceClient(conn), fanoutv1.NewEmitterServiceClient(conn)
	_, get := registry.GetConnection(t.Context(), &fanoutv1.GetConnectionRequest{Id: "x"})
	_, update := registry.UpdateConnection(t.Context(), &fanoutv1.UpdateConnectionRequest{Id: "x"})
	_, call := emitter.Call(t.Context(), &fanoutv1.CallRequest{Id: "x", Event: "e", Timeout: durationpb.New(time.Second)})
	for what, err := range map[string]error{"GetConnection": get, "UpdateConnection": update, "Call": call} {
		info := &errdetails.ErrorInfo{}
		for _, d := range status.Convert(err).Details() {
			if i, ok := d.(*errdetails.ErrorInfo); ok {
				info = i
			}
		}
		if status.Code(err) != codes.Unavailable || info.GetReason() != "NODE_UNREACHABLE" || info.GetMetadata()["node"] != "far" {
			t.Errorf("%s: %v (%v)", what, err, info)
		}
	}
	for wait, forwarded := range map[fanoutv1.EmitRequest_Wait]uint32{fanoutv1.EmitRequest_ACCEPTED: 2, fanoutv1.EmitRequest_APPLIED: 0} {
		resp, err := emitter.Emit(t.Context(), &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e", Wait: wait})
		if err != nil || resp.GetForwarded() != forwarded || !resp.GetPartial() || len(resp.GetUnreachable()) != 1 {
			t.Errorf("Emit, %s: %v %v", wait, resp, err)
		}
	}
}
