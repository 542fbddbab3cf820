package control

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestChanges(t *testing.T) {
	hub := newMemHub()
	hub.connect("/", "a", "42")
	hub.connect("/", "b", "42")
	hub.connect("/", "c", "")
	c := dialRegistry(t, hub)
	user := &fanoutv1.Target{Users: []string{"42"}}
	inRoom := func() uint32 {
		t.Helper()
		resp, err := c.CountConnections(t.Context(), &fanoutv1.CountConnectionsRequest{To: toRoom("some room")})
		if err != nil {
			t.Fatal(err)
		}
		return resp.GetTotal()
	}
	for range 2 { // the second time changes nothing
		join, err := c.Join(t.Context(), &fanoutv1.JoinRequest{To: user, Rooms: []string{"some room"}})
		if err != nil || join.GetAffected() != 2 || inRoom() != 2 {
			t.Errorf("Join: got %v, %v, with %d in the room", join, err, inRoom())
		}
	}
	for range 2 {
		leave, err := c.Leave(t.Context(), &fanoutv1.LeaveRequest{To: user, Rooms: []string{"some room"}})
		if err != nil || leave.GetAffected() != 2 || inRoom() != 0 {
			t.Errorf("Leave: got %v, %v, with %d in the room", leave, err, inRoom())
		}
	}
	for _, mode := range []fanoutv1.DisconnectRequest_Mode{fanoutv1.DisconnectRequest_TRANSPORT, fanoutv1.DisconnectRequest_NAMESPACE, fanoutv1.DisconnectRequest_SESSION} {
		want := map[fanoutv1.DisconnectRequest_Mode]uint32{fanoutv1.DisconnectRequest_TRANSPORT: 2}[mode]
		resp, err := c.Disconnect(t.Context(), &fanoutv1.DisconnectRequest{To: user, Mode: mode})
		if err != nil || resp.GetAffected() != want {
			t.Errorf("Disconnect %v: got %v, %v, want %d affected", mode, resp, err, want)
		}
		hub.mu.Lock()
		op := hub.ops[len(hub.ops)-1].(sio.Disconnect)
		hub.mu.Unlock()
		if op.Mode != sio.DisconnectMode(mode) {
			t.Errorf("Disconnect %v was applied as %+v", mode, op)
		}
	}
}

func TestUpdateConnection(t *testing.T) {
	hub := newMemHub()
	hub.connect("/", "a", "")
	c := dialRegistry(t, hub)
	steps := []struct{ data, want map[string]any }{
		{nil, nil},
		{map[string]any{"name": "Ann", "n": 1}, map[string]any{"name": "Ann", "n": 1.0}},
		{map[string]any{"n": nil, "deep": map[string]any{"x": nil}}, map[string]any{"name": "Ann", "deep": map[string]any{"x": nil}}},
		{map[string]any{}, map[string]any{"name": "Ann", "deep": map[string]any{"x": nil}}},
		{map[string]any{"name": nil, "deep": nil}, nil},
	}
	for i, s := range steps {
		var want *structpb.Struct
		data, err := structpb.NewStruct(s.data)
		if err != nil {
			t.Fatal(err)
		}
		if s.want != nil {
			if want, err = structpb.NewStruct(s.want); err != nil {
				t.Fatal(err)
			}
		}
		resp, err := c.UpdateConnection(t.Context(), &fanoutv1.UpdateConnectionRequest{Id: "a", Data: data})
		if err != nil || resp.GetConnection().GetId() != "a" || !proto.Equal(resp.GetConnection().GetData(), want) {
			t.Errorf("step %d: got %v, %v, want %v", i, resp, err, want)
		}
	}
}

func TestUpdateConnectionTooMuch(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		c, id := w.connect("")
		registry := fanoutv1.NewRegistryServiceClient(w.conn)
		_, err := registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: id, DataJson: `{"a":"` + strings.Repeat("x", sio.MaxData) + `"}`})
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(status.Convert(err).Message(), "64 KiB") {
			t.Errorf("got %v, want FAILED_PRECONDITION that says the bound", err)
		}
		c.Close()
	})
}

// The authorisation of a connection can be given an end, and a later one; then
// the connection closes, and says why.
func TestUpdateConnectionExpires(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Lifecycle: true})
		c, id := w.connect("")
		c.Idle()
		k.say(acking(k.event("CONNECTED /").GetDeliveryId()))
		registry := fanoutv1.NewRegistryServiceClient(w.conn)
		update := func(at *timestamppb.Timestamp) (*fanoutv1.UpdateConnectionResponse, error) {
			return registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: id, ExpireAt: at})
		}
		first, second := time.Now().Add(time.Minute), time.Now().Add(10*time.Minute)
		for _, at := range []time.Time{first, second} {
			resp, err := update(timestamppb.New(at))
			if err != nil || !resp.GetConnection().GetExpiresAt().AsTime().Equal(at) {
				t.Errorf("got %v, %v, want it to expire at %v", resp, err, at)
			}
		}
		if resp, err := update(nil); err != nil || !resp.GetConnection().GetExpiresAt().AsTime().Equal(second) {
			t.Errorf("got %v, %v, want it to expire as before", resp, err)
		}
		for _, at := range []*timestamppb.Timestamp{timestamppb.New(time.Time{}), {Seconds: -1}, {Nanos: 1e9}} {
			_, err := update(at)
			if got := fields(t, err); !slices.Equal(got, []string{"expire_at"}) {
				t.Errorf("%v: got %q", at, got)
			}
		}
		k.event("DISCONNECTED / " + sio.ReasonExpired)
		if !time.Now().Equal(second) {
			t.Errorf("it ended at %v, want %v", time.Now(), second)
		}
	})
}
