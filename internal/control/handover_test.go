package control

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// assigned returns the connections of the next message, which has to be of no others.
func (k *worker) assigned() []*fanoutv1.Connection {
	k.t.Helper()
	m := k.get()
	if m.GetAssigned() == nil || len(m.GetAssigned().GetTooLarge()) > 0 {
		k.t.Fatalf("got %v, want assigned", m)
	}
	return m.GetAssigned().GetConnections()
}

// released returns the ids of the next message.
func (k *worker) released() []string {
	k.t.Helper()
	m := k.get()
	if m.GetReleased() == nil {
		k.t.Fatalf("got %v, want released", m)
	}
	return m.GetReleased().GetConnectionIds()
}

// TestAssignments: a worker is told which connections it owns, before their next event,
// and the one that takes over after it is.
func TestAssignments(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		c, id := w.connect("")
		first := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "first", Lifecycle: true, Assignments: true})
		if v := first.assigned(); len(v) != 1 || v[0].GetId() != id || v[0].GetHandshake().GetUrl() == "" || v[0].GetTransport() != "websocket" {
			t.Errorf("assigned: %v", v)
		}
		connected := first.event("CONNECTED /")
		first.say(acking(connected.GetDeliveryId()))
		synctest.Wait()
		c.Say(`42["a"]`)
		first.event("MESSAGE / a[]")
		first.cancel()
		synctest.Wait()

		second := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "second", Lifecycle: true, Assignments: true})
		if v := second.assigned(); len(v) != 1 || v[0].GetId() != id || !slices.Contains(v[0].GetRooms(), id) {
			t.Errorf("assigned: %v", v)
		}
		a := second.event("MESSAGE / a[] attempt 2")
		third := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "third", Lifecycle: true, Assignments: true})
		second.say(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Leave_{Leave: &fanoutv1.ConsumeRequest_Leave{}}})
		if m := second.get(); m.GetDraining() == nil {
			t.Fatalf("got %v, want draining", m)
		}
		second.say(acking(a.GetDeliveryId()))
		if ids := second.released(); !slices.Equal(ids, []string{id}) {
			t.Errorf("released: %v", ids)
		}
		if v := third.assigned(); len(v) != 1 || v[0].GetId() != id {
			t.Errorf("assigned: %v", v)
		}
		c.Close()
		gone := third.event("DISCONNECTED / transport close")
		third.say(acking(gone.GetDeliveryId()))
		third.quiet()
	})
}

// TestHandoverPieces: no message is larger than the worker takes; what does not fit at
// all is named.
func TestHandoverPieces(t *testing.T) {
	h := dispatch.Handover{Released: []string{"r"}}
	for i := range 40 {
		h.Assigned = append(h.Assigned, sio.Connection{ID: strings.Repeat("i", i+1), Rooms: []string{strings.Repeat("x", 9000)}})
	}
	h.Assigned[7].Rooms = []string{strings.Repeat("x", minMessageBytes)}
	all := (&Events{}).handover(&h, dispatch.ViewDefault, minMessageBytes)
	if ids := all[0].GetReleased().GetConnectionIds(); !slices.Equal(ids, h.Released) {
		t.Errorf("the first message: %v", ids)
	}
	named, most := 0, 0
	var large []string
	for _, m := range all[1:] {
		most = max(most, proto.Size(m))
		named += len(m.GetAssigned().GetConnections())
		large = append(large, m.GetAssigned().GetTooLarge()...)
	}
	if most > minMessageBytes || len(all) > 8 {
		t.Errorf("%d messages of at most %d bytes", len(all), most)
	}
	if named != 39 || !slices.Equal(large, []string{h.Assigned[7].ID}) {
		t.Errorf("%d connections, and too large: %v", named, large)
	}
}
