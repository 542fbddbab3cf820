package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Data is merged into what all of a target have, or replaces it; what one may not have
// nobody gets; and an authorisation can be made to last.
func TestUpdateConnections(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		a, idA := w.connect("")
		b, idB := w.connect("")
		other, _ := w.connect("/chat")
		registry := fanoutv1.NewRegistryServiceClient(w.conn)
		both := []string{idA, idB}
		data := func() (got []string) {
			for _, id := range both {
				c, err := registry.GetConnection(w.ctx(), &fanoutv1.GetConnectionRequest{Id: id})
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprint(c.GetConnection().GetData().AsMap()))
			}
			return got
		}
		if _, err := registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: idA, DataJson: `{"a":1,"b":2}`}); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			req      *fanoutv1.UpdateConnectionsRequest
			affected uint32
			want     []string
		}{
			{&fanoutv1.UpdateConnectionsRequest{To: toAll(), DataJson: `{"b":3,"c":4}`}, 2, []string{"map[a:1 b:3 c:4]", "map[b:3 c:4]"}},
			{&fanoutv1.UpdateConnectionsRequest{To: toID(idB), DataJson: `{"d":5}`, Replace: true}, 1, []string{"map[a:1 b:3 c:4]", "map[d:5]"}},
			{&fanoutv1.UpdateConnectionsRequest{To: toRoom("nobody's"), DataJson: `{"e":6}`}, 0, []string{"map[a:1 b:3 c:4]", "map[d:5]"}},
			{&fanoutv1.UpdateConnectionsRequest{To: toAll()}, 2, []string{"map[a:1 b:3 c:4]", "map[d:5]"}},
			{&fanoutv1.UpdateConnectionsRequest{To: toAll(), Replace: true}, 2, []string{"map[]", "map[]"}},
		} {
			resp, err := registry.UpdateConnections(w.ctx(), tt.req)
			if got := data(); err != nil || resp.GetAffected() != tt.affected || resp.GetPartial() || !slices.Equal(got, tt.want) {
				t.Errorf("%v: %v, %v, and the data %v, want %v", tt.req, resp, err, got, tt.want)
			}
		}

		half := strings.Repeat("x", sio.MaxData/2)
		if _, err := registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: idA, DataJson: `{"first":"` + half + `"}`}); err != nil {
			t.Fatal(err)
		}
		_, err := registry.UpdateConnections(w.ctx(), &fanoutv1.UpdateConnectionsRequest{To: toAll(), DataJson: `{"second":"` + half + `"}`})
		if got := data(); status.Code(err) != codes.FailedPrecondition || got[1] != "map[]" {
			t.Errorf("too much for one: %v, and the other has %.20s", err, got[1])
		}
		end := timestamppb.New(time.Now().Add(time.Minute))
		for _, tt := range []struct {
			req  *fanoutv1.UpdateConnectionRequest
			want bool // it runs out
		}{
			{&fanoutv1.UpdateConnectionRequest{Id: idA, ExpireAt: end}, true},
			{&fanoutv1.UpdateConnectionRequest{Id: idA, Replace: true}, true},
			{&fanoutv1.UpdateConnectionRequest{Id: idA, ClearExpireAt: true}, false},
		} {
			resp, err := registry.UpdateConnection(w.ctx(), tt.req)
			if got := resp.GetConnection().GetExpiresAt() != nil; err != nil || got != tt.want {
				t.Errorf("%v: runs out %v, %v, want %v", tt.req, got, err, tt.want)
			}
		}
		_, err = registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: idA, ExpireAt: end, ClearExpireAt: true})
		if got := fields(t, err); !slices.Equal(got, []string{"clear_expire_at"}) {
			t.Errorf("both: %q", got)
		}
		for _, c := range []interface{ Close() error }{a, b, other} {
			c.Close()
		}
	})
}

// TestUpdateOfUsers: a connection becomes another user's, or nobody's: for lists, for
// emits, and for what it does from then on.
func TestUpdateOfUsers(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		k := w.consume(&fanoutv1.ConsumeRequest_Open{Lifecycle: true})
		a, idA := w.connect("")
		b, idB := w.connect("")
		for range 2 {
			k.say(acking(k.get().GetEvents().GetEvents()[0].GetDeliveryId()))
		}
		registry, emitter := fanoutv1.NewRegistryServiceClient(w.conn), fanoutv1.NewEmitterServiceClient(w.conn)
		users := func() string {
			t.Helper()
			list, err := registry.ListUsers(w.ctx(), &fanoutv1.ListUsersRequest{})
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, u := range list.GetUsers() {
				all = append(all, fmt.Sprint(u.GetUserId(), ":", u.GetConnections()))
			}
			return strings.Join(all, " ")
		}
		ada, nobody := "ada", ""
		got, err := registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: idA, UserId: &ada, DataJson: `{"a":1}`})
		if err != nil || got.GetConnection().GetUserId() != ada || got.GetPartial() || users() != "ada:1" {
			t.Errorf("a login: %v, %v, users %s", got, err, users())
		}
		if got, err = registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: idA, DataJson: `{"b":1}`}); got.GetConnection().GetUserId() != ada {
			t.Errorf("data alone: %v, %v", got, err)
		}
		emit := func() uint32 {
			t.Helper()
			sent, err := emitter.Emit(w.ctx(), &fanoutv1.EmitRequest{To: &fanoutv1.Target{Users: []string{ada}}, Event: "e", Wait: fanoutv1.EmitRequest_APPLIED})
			if err != nil {
				t.Fatal(err)
			}
			return sent.GetMatched()
		}
		if n := emit(); n != 1 {
			t.Errorf("an emit to the user reaches %d", n)
		}
		a.Next()
		a.Say(`42["x"]`)
		message := k.event("MESSAGE / x[]")
		if message.GetUserId() != ada {
			t.Errorf("what it does after the login is %q's", message.GetUserId())
		}
		k.say(acking(message.GetDeliveryId()))
		results, err := emitter.Batch(w.ctx(), &fanoutv1.BatchRequest{Operations: []*fanoutv1.Operation{
			{Operation: &fanoutv1.Operation_Update{Update: &fanoutv1.UpdateConnectionRequest{Id: idB, UserId: &ada}}},
			{Operation: &fanoutv1.Operation_UpdateAll{UpdateAll: &fanoutv1.UpdateConnectionsRequest{To: &fanoutv1.Target{Users: []string{ada}}, UserId: &nobody, IdempotencyKey: "k"}}},
		}})
		if r := results.GetResults(); err != nil || r[0].GetUpdate().GetConnection().GetUserId() != ada || r[1].GetUpdateAll().GetAffected() != 2 || users() != "" || emit() != 0 {
			t.Errorf("a batch: %v, %v, users %s", results, err, users())
		}
		// The key is of a logout.
		for _, user := range []*string{nil, &ada} {
			_, err = registry.UpdateConnections(w.ctx(), &fanoutv1.UpdateConnectionsRequest{To: &fanoutv1.Target{Users: []string{ada}}, UserId: user, IdempotencyKey: "k"})
			if got := fields(t, err); !slices.Equal(got, []string{"idempotency_key"}) {
				t.Errorf("the key with another request: %q", got)
			}
		}
		long := strings.Repeat("x", 1025)
		_, err = registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: idA, UserId: &long})
		if got := fields(t, err); !slices.Equal(got, []string{"user_id"}) {
			t.Errorf("a long name: %q", got)
		}
		_, err = registry.UpdateConnection(w.ctx(), &fanoutv1.UpdateConnectionRequest{Id: idA, UserId: &ada})
		if err != nil {
			t.Error(err)
		}
		a.Say("41")
		if end := k.event("DISCONNECTED / client namespace disconnect"); end.GetUserId() != ada || end.GetConnection().GetUserId() != ada {
			t.Errorf("its end: %v", end)
		}
		a.Close()
		b.Close()
	})
}

// Each change with a key takes effect once, at whichever node it is asked for: a repetition
// gets the first answer, and the same key with another request is refused.
func TestChangesWithKeys(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		a, idA := w.connect("")
		registry, emitter := fanoutv1.NewRegistryServiceClient(w.conn), fanoutv1.NewEmitterServiceClient(w.conn)
		type answer interface {
			GetAffected() uint32
			GetDuplicate() bool
		}
		changes := []struct {
			name string
			do   func(key string) (answer, error)
		}{
			{"Join", func(key string) (answer, error) {
				return registry.Join(w.ctx(), &fanoutv1.JoinRequest{To: toAll(), Rooms: []string{"r"}, IdempotencyKey: key})
			}},
			{"Leave", func(key string) (answer, error) {
				return registry.Leave(w.ctx(), &fanoutv1.LeaveRequest{To: toAll(), Rooms: []string{"r"}, IdempotencyKey: key})
			}},
			{"UpdateConnections", func(key string) (answer, error) {
				return registry.UpdateConnections(w.ctx(), &fanoutv1.UpdateConnectionsRequest{To: toAll(), DataJson: `{"a":1}`, IdempotencyKey: key})
			}},
			{"Disconnect", func(key string) (answer, error) {
				return registry.Disconnect(w.ctx(), &fanoutv1.DisconnectRequest{To: toID(idA), IdempotencyKey: key})
			}},
		}
		b, _ := w.connect("")
		for _, c := range changes {
			for i := range 3 {
				got, err := c.do("key of " + c.name)
				want := uint32(2)
				if c.name == "Disconnect" {
					want = 1
				}
				if err != nil || got.GetAffected() != want || got.GetDuplicate() != (i > 0) {
					t.Errorf("%s, time %d: %v, %v", c.name, i, got, err)
				}
				if i == 0 && c.name == "Join" { // what a repetition would undo
					if _, err := registry.Leave(w.ctx(), &fanoutv1.LeaveRequest{To: toAll(), Rooms: []string{"r"}}); err != nil {
						t.Error(err)
					}
				}
			}
			if c.name == "Join" {
				if rooms, err := registry.ListRooms(w.ctx(), &fanoutv1.ListRoomsRequest{}); err != nil || len(rooms.GetRooms()) > 0 {
					t.Errorf("rooms after a Join that was repeated behind a Leave: %v, %v", rooms, err)
				}
			}
		}
		for _, c := range changes {
			_, err := c.do("key of Emit")
			if c.name == "Join" { // the first
				if err != nil {
					t.Error(err)
				}
				continue
			}
			if got := fields(t, err); !slices.Equal(got, []string{"idempotency_key"}) {
				t.Errorf("%s with the key of another request: %q", c.name, got)
			}
		}
		_, err := emitter.Emit(w.ctx(), &fanoutv1.EmitRequest{To: toAll(), Event: "e", IdempotencyKey: "key of Emit"})
		if got := fields(t, err); !slices.Equal(got, []string{"idempotency_key"}) {
			t.Errorf("Emit with the key of another request: %q", got)
		}
		a.Close()
		b.Close()
	})
}

// What a change does is all in its fingerprint: requests that differ anywhere differ there.
func TestFingerprintsDiffer(t *testing.T) {
	at := time.Now()
	to := sio.Target{Namespace: "/", Selector: toTarget(&problems{}, toRoom("r")).Selector}
	seen := map[string]string{}
	for _, op := range []sio.Op{
		sio.Emit{To: to}, sio.Emit{To: to, Event: "e"}, sio.Emit{To: to, Event: "e", Args: []byte("[1]")},
		sio.Join{To: to, Rooms: []string{"a", "b"}}, sio.Join{To: to, Rooms: []string{"ab"}}, sio.Leave{To: to, Rooms: []string{"ab"}},
		sio.Disconnect{To: to}, sio.Disconnect{To: to, Mode: sio.DisconnectSession}, sio.Disconnect{To: to, Reason: "r"},
		sio.Update{Namespace: "/", ID: "r"}, sio.UpdateAll{To: to},
		sio.UpdateAll{To: to, Changes: sio.Changes{Data: map[string]any{"a": 1}}},
		sio.UpdateAll{To: to, Changes: sio.Changes{Data: map[string]any{"a": nil}}},
		sio.UpdateAll{To: to, Changes: sio.Changes{Replace: true}},
		sio.UpdateAll{To: to, Changes: sio.Changes{Lasting: true}},
		sio.UpdateAll{To: to, Changes: sio.Changes{Expire: at}},
		sio.UpdateAll{To: to, Changes: sio.Changes{Expire: at.Add(1)}},
	} {
		print := fmt.Sprintf("%x", fingerprintOf(op))
		if before, ok := seen[print]; ok {
			t.Errorf("%T%+v has the fingerprint of %s", op, op, before)
		}
		seen[print] = fmt.Sprintf("%T%+v", op, op)
		if again := fmt.Sprintf("%x", fingerprintOf(op)); again != print {
			t.Errorf("%T%+v has two fingerprints", op, op)
		}
	}
}
