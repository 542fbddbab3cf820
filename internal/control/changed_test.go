package control

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// changed returns the one connection of the next message, which has to be a change.
func (k *worker) changed() *fanoutv1.Connection {
	k.t.Helper()
	m := k.get()
	if m.GetChanged() == nil || len(m.GetChanged().GetConnections()) != 1 || len(m.GetChanged().GetTooLarge()) > 0 {
		k.t.Fatalf("got %v, want a change", m)
	}
	return m.GetChanged().GetConnections()[0]
}

// TestChanged: a worker is told what others change of its connections, wherever these are,
// and not what it changes itself by a stream that says whose it is.
func TestChanged(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "k", Assignments: true})
		_, id := w.connect("")
		if v := k.assigned(); len(v) != 1 || v[0].GetId() != id || v[0].GetHandshake() == nil {
			t.Fatalf("assigned: %v", v)
		}
		to := &fanoutv1.Target{Ids: []string{id}}
		own := execute(t, w.ctx(), w.conn)
		own.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Open_{Open: &fanoutv1.ExecuteRequest_Open{Group: "g", ConsumerId: "k"}}})
		done := func(x *executor, op *fanoutv1.Operation) {
			t.Helper()
			x.do(op)
			if r := x.next().GetResult(); r.GetStatus() != nil || r.GetUpdate() == nil && r.GetJoin().GetAffected() != 1 {
				t.Errorf("%v: %v", op, r)
			}
		}
		done(own, opJoin(to, "own"))
		done(own, &fanoutv1.Operation{Operation: &fanoutv1.Operation_Update{Update: &fanoutv1.UpdateConnectionRequest{Id: id, DataJson: `{"own":1}`}}})
		time.Sleep(time.Second)
		synctest.Wait()

		registry := fanoutv1.NewRegistryServiceClient(w.conn)
		if _, err := registry.Join(w.ctx(), &fanoutv1.JoinRequest{To: to, Rooms: []string{"others"}}); err != nil {
			t.Fatal(err)
		}
		v := k.changed()
		if !slices.Contains(v.GetRooms(), "own") || !slices.Contains(v.GetRooms(), "others") || v.GetDataJson() != `{"own":1}` || v.GetHandshake() != nil {
			t.Errorf("changed: %v", v)
		}
		if _, err := registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: id, DataJson: `{"others":2}`}); err != nil {
			t.Fatal(err)
		}
		if v := k.changed(); v.GetDataJson() != `{"others":2,"own":1}` {
			t.Errorf("changed: %v", v)
		}

		// Whom a target of rooms reaches it does not know.
		_, other := w.connect("")
		k.assigned()
		synctest.Wait()
		anonymous := execute(t, w.ctx(), w.conn)
		done(anonymous, opJoin(&fanoutv1.Target{Ids: []string{other}}, "anonymous"))
		if v := k.changed(); v.GetId() != other || !slices.Contains(v.GetRooms(), "anonymous") {
			t.Errorf("changed: %v", v)
		}
		_, third := w.connect("")
		k.assigned()
		done(own, opJoin(&fanoutv1.Target{Rooms: []string{third}}, "by room"))
		if v := k.changed(); v.GetId() != third || !slices.Contains(v.GetRooms(), "by room") {
			t.Errorf("changed: %v", v)
		}
		time.Sleep(time.Second)
		k.quiet()
	})
}

// TestOpenWithoutGroup: who says by Execute whose commands it has says it in full.
func TestOpenWithoutGroup(t *testing.T) {
	_, conn := dial(t, newMemHub(), Options{})
	for _, open := range []*fanoutv1.ExecuteRequest_Open{{Group: "g"}, {ConsumerId: "c"}} {
		x := execute(t, t.Context(), conn)
		x.say(&fanoutv1.ExecuteRequest{Request: &fanoutv1.ExecuteRequest_Open_{Open: open}})
		if _, err := x.stream.Recv(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "open.consumer_id") {
			t.Errorf("%v: %v", open, err)
		}
	}
}
