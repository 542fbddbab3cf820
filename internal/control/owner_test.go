package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// spread connects browsers, at two nodes if there are several, all in a room.
func (w *world) spread(n int) (browsers map[string]*wiretest.WS) {
	w.t.Helper()
	browsers = map[string]*wiretest.WS{}
	for i := range n {
		listener := w.listener
		if w.apart && i%2 > 0 {
			listener = w.nodes[2].Browsers
		}
		c, id := listener.Connect(w.t, "")
		browsers[id] = c
	}
	synctest.Wait()
	registry := fanoutv1.NewRegistryServiceClient(w.conn)
	all := &fanoutv1.Target{All: true}
	if resp, err := registry.Join(w.ctx(), &fanoutv1.JoinRequest{To: all, Rooms: []string{"all"}}); err != nil || int(resp.GetAffected()) != n {
		w.t.Fatal(resp, err)
	}
	return browsers
}

// TestOwner: a target means only what a consumer owns, wherever that is; the others are
// reached by nothing.
func TestOwner(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		one := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "one", Assignments: true})
		two := w.consume(&fanoutv1.ConsumeRequest_Open{ConsumerId: "two", Assignments: true})
		browsers := w.spread(12)
		owns := map[string][]string{}
		for name, k := range map[string]*worker{"one": one, "two": two} {
			for len(owns[name]) < len(browsers) {
				synctest.Wait()
				if owned(w, name) == len(owns[name]) {
					break
				}
				for _, c := range k.assigned() {
					owns[name] = append(owns[name], c.GetId())
				}
			}
		}
		if len(owns["one"])+len(owns["two"]) != len(browsers) || len(owns["one"]) == 0 || len(owns["two"]) == 0 {
			t.Fatalf("owned: %v", owns)
		}
		mine, other := owns["one"][0], owns["two"][0]
		emitter, registry := fanoutv1.NewEmitterServiceClient(w.conn), fanoutv1.NewRegistryServiceClient(w.conn)
		of := func(to *fanoutv1.Target, group, consumer string) *fanoutv1.Target {
			to.Owner = &fanoutv1.Target_Owner{Group: group, ConsumerId: consumer}
			return to
		}
		targets := func(group, consumer string) []*fanoutv1.Target {
			return []*fanoutv1.Target{
				of(&fanoutv1.Target{All: true}, group, consumer),
				of(&fanoutv1.Target{Rooms: []string{"all", "none"}}, group, consumer),
				of(&fanoutv1.Target{All: true, Except: []string{mine}}, group, consumer),
				of(&fanoutv1.Target{Ids: []string{mine, other}, Rooms: []string{mine}}, group, consumer),
			}
		}
		n := len(owns["one"])
		for i, tt := range []struct {
			group, consumer string
			want            []int
		}{
			{"g", "one", []int{n, n, n - 1, 1}},
			{"g", "two", []int{12 - n, 12 - n, 12 - n, 1}},
			{"g", "three", []int{0, 0, 0, 0}},
			{"none", "one", []int{0, 0, 0, 0}},
		} {
			for j, to := range targets(tt.group, tt.consumer) {
				event := fmt.Sprintf("event-%d-%d", i, j)
				emit, err := emitter.Emit(w.ctx(), &fanoutv1.EmitRequest{To: to, Event: event, Wait: fanoutv1.EmitRequest_APPLIED})
				if err != nil || int(emit.GetMatched()) != tt.want[j] {
					t.Errorf("Emit to %v: %v, %v, want %d", to, emit, err, tt.want[j])
				}
				count, err := registry.CountConnections(w.ctx(), &fanoutv1.CountConnectionsRequest{To: to})
				if err != nil || int(count.GetTotal()) != tt.want[j] {
					t.Errorf("CountConnections of %v: %v, %v, want %d", to, count, err, tt.want[j])
				}
				var ids []string
				for token, more := "", true; more; more = token != "" {
					page, err := registry.ListConnections(w.ctx(), &fanoutv1.ListConnectionsRequest{To: to, PageSize: 2, PageToken: token})
					if err != nil {
						t.Fatal(err)
					}
					for _, c := range page.GetConnections() {
						ids = append(ids, c.GetId())
					}
					token = page.GetNextPageToken()
				}
				if len(ids) != tt.want[j] || slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(owns[tt.consumer], id) }) {
					t.Errorf("ListConnections of %v: %v", to, ids)
				}
				for id, c := range browsers {
					if slices.Contains(ids, id) {
						if got := c.Next(); got != fmt.Sprintf(`42["%s"]`, event) {
							t.Errorf("%s got %q, want %s", id, got, event)
						}
					}
				}
			}
		}

		all := func(consumer string) *fanoutv1.Target { return of(&fanoutv1.Target{All: true}, "g", consumer) }
		join, err := registry.Join(w.ctx(), &fanoutv1.JoinRequest{To: all("one"), Rooms: []string{"ones"}})
		count, countErr := registry.CountConnections(w.ctx(), &fanoutv1.CountConnectionsRequest{To: &fanoutv1.Target{Rooms: []string{"ones"}}})
		if err != nil || countErr != nil || int(join.GetAffected()) != n || int(count.GetTotal()) != n {
			t.Errorf("Join: %v, %v; in the room: %v, %v; want %d", join, err, count, countErr, n)
		}
		leave, err := registry.Leave(w.ctx(), &fanoutv1.LeaveRequest{To: all("two"), Rooms: []string{"ones"}})
		count, countErr = registry.CountConnections(w.ctx(), &fanoutv1.CountConnectionsRequest{To: &fanoutv1.Target{Rooms: []string{"ones"}}})
		if err != nil || countErr != nil || int(leave.GetAffected()) != 12-n || int(count.GetTotal()) != n {
			t.Errorf("Leave: %v, %v; in the room: %v, %v; want %d", leave, err, count, countErr, n)
		}
		update, err := registry.UpdateConnections(w.ctx(), &fanoutv1.UpdateConnectionsRequest{To: all("one"), Data: object(t, map[string]any{"whose": "one"})})
		if err != nil || int(update.GetAffected()) != n {
			t.Errorf("UpdateConnections: %v, %v, want %d", update, err, n)
		}
		acks, err := emitter.EmitWithAck(w.ctx(), &fanoutv1.EmitWithAckRequest{
			Emit: &fanoutv1.EmitRequest{To: all("one"), Event: "asked"}, Timeout: durationpb.New(1),
		})
		if err != nil {
			t.Fatal(err)
		}
		var summary *fanoutv1.EmitWithAckResponse_Summary
		for summary == nil {
			m, err := acks.Recv()
			if err != nil {
				t.Fatal(err)
			}
			summary = m.GetSummary()
		}
		if int(summary.GetExpected()) != n {
			t.Errorf("EmitWithAck: %v, want %d", summary, n)
		}
		end, err := registry.Disconnect(w.ctx(), &fanoutv1.DisconnectRequest{To: all("one")})
		count, countErr = registry.CountConnections(w.ctx(), &fanoutv1.CountConnectionsRequest{To: &fanoutv1.Target{All: true}})
		if err != nil || countErr != nil || int(end.GetAffected()) != n || int(count.GetTotal()) != 12-n {
			t.Errorf("Disconnect: %v, %v; left: %v, %v", end, err, count, countErr)
		}
	})
}

// owned returns how many connections a consumer owns at all nodes.
func owned(w *world, consumer string) (n int) {
	groups := w.events.Groups()
	if w.apart {
		groups = nil
		for _, node := range w.nodes {
			groups = append(groups, node.Local.Groups()...)
		}
	}
	for _, g := range groups {
		for _, c := range g.Subscriptions {
			if c.ConsumerID == consumer {
				n += c.Connections
			}
		}
	}
	return n
}

// TestOwnerRefused: an owner that is none is refused, and one alone selects nobody.
func TestOwnerRefused(t *testing.T) {
	hub := newMemHub()
	hub.connect("/", "a", "")
	_, conn := dial(t, hub, Options{})
	emitter := fanoutv1.NewEmitterServiceClient(conn)
	owner := &fanoutv1.Target_Owner{Group: "g", ConsumerId: "c"}
	for _, tt := range []struct {
		to   *fanoutv1.Target
		want string
	}{
		{&fanoutv1.Target{All: true, Owner: &fanoutv1.Target_Owner{Group: "g"}}, "to.owner: must name a group and a consumer"},
		{&fanoutv1.Target{All: true, Owner: &fanoutv1.Target_Owner{ConsumerId: "c"}}, "to.owner: must name a group and a consumer"},
		{&fanoutv1.Target{All: true, Owner: &fanoutv1.Target_Owner{}}, "to.owner: must name a group and a consumer"},
		{&fanoutv1.Target{Owner: owner}, "to: selects nobody"},
	} {
		_, err := emitter.Emit(t.Context(), &fanoutv1.EmitRequest{To: tt.to, Event: "e"})
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.to, err, tt.want)
		}
	}
	// Another owner makes another request of it.
	request := &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e", IdempotencyKey: "k"}
	if _, err := emitter.Emit(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	request.To.Owner = owner
	if _, err := emitter.Emit(t.Context(), request); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "idempotency_key") {
		t.Errorf("with the key of another: %v", err)
	}
}
