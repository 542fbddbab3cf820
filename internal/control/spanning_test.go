package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// expectNext wants these to be the next packets of a client, in any order.
func expectNext(t *testing.T, c *wiretest.WS, want ...string) {
	t.Helper()
	var got []string
	for range want {
		got = append(got, c.Next())
	}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("the client got %q, want %q", got, want)
	}
}

// Whatever has a target spans the namespaces that its pattern matches, at all nodes.
func TestTargetsSpanNamespaces(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		emitter, registry := fanoutv1.NewEmitterServiceClient(w.conn), fanoutv1.NewRegistryServiceClient(w.conn)
		c, root := w.connect("")
		chat := c.Join("/chat")
		synctest.Wait()
		ctx := w.ctx()
		to := func(namespace string, rooms ...string) *fanoutv1.Target {
			return &fanoutv1.Target{Namespace: namespace, Rooms: rooms, All: len(rooms) == 0}
		}
		for namespace, want := range map[string][]string{"*": {`42["x"]`, `42/chat,["x"]`}, "ch*": {`42/chat,["x"]`}} {
			resp, err := emitter.Emit(ctx, &fanoutv1.EmitRequest{To: to(namespace), Event: "x", Wait: fanoutv1.EmitRequest_APPLIED})
			if err != nil || int(resp.GetMatched()) != len(want) || resp.GetPartial() {
				t.Errorf("emit to %s: %v, %v", namespace, resp, err)
			}
			expectNext(t, c, want...)
			count, err := registry.CountConnections(ctx, &fanoutv1.CountConnectionsRequest{To: to(namespace)})
			if err != nil || int(count.GetTotal()) != len(want) {
				t.Errorf("count of %s: %v, %v", namespace, count, err)
			}
			var listed []string
			for token := ""; ; {
				list, err := registry.ListConnections(ctx, &fanoutv1.ListConnectionsRequest{To: to(namespace), PageSize: 1, PageToken: token})
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range list.GetConnections() {
					listed = append(listed, v.GetId())
				}
				if token = list.GetNextPageToken(); token == "" {
					break
				}
			}
			if got := fmt.Sprint(listed); len(listed) != len(want) || !slices.Contains(listed, chat) || len(want) == 2 && !slices.Contains(listed, root) {
				t.Errorf("list of %s: %s", namespace, got)
			}
		}
		// In a stream of commands what is for a room of several namespaces comes after a Join
		// there, and what is for one of these too.
		x := execute(t, ctx, w.conn)
		for i := range 20 {
			room := fmt.Sprint("r", i)
			x.do(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Join{Join: &fanoutv1.JoinRequest{To: to("*"), Rooms: []string{room}}}})
			x.do(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Emit{Emit: &fanoutv1.EmitRequest{To: to("/chat", room), Event: room}}})
			x.do(&fanoutv1.Operation{Operation: &fanoutv1.Operation_Emit{Emit: &fanoutv1.EmitRequest{To: to("*", room), Event: room}}})
			expectNext(t, c, fmt.Sprintf(`42/chat,[%q]`, room), fmt.Sprintf(`42/chat,[%q]`, room), fmt.Sprintf(`42[%q]`, room))
		}
		x.finish()
		leave, err := registry.Leave(ctx, &fanoutv1.LeaveRequest{To: to("*", "r1"), Rooms: []string{"r2"}})
		if err != nil || leave.GetAffected() != 2 {
			t.Errorf("leave: %v, %v", leave, err)
		}
		update, err := registry.UpdateConnections(ctx, &fanoutv1.UpdateConnectionsRequest{To: to("/*", "r1"), DataJson: `{"a":1}`})
		if err != nil || update.GetAffected() != 1 {
			t.Errorf("update: %v, %v", update, err)
		}
		// Answers come from all.
		acks, err := emitter.EmitWithAck(ctx, &fanoutv1.EmitWithAckRequest{Emit: &fanoutv1.EmitRequest{To: to("*"), Event: "q"}, Timeout: durationpb.New(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			question := c.Next() // 42/chat,ID["q"] or 42ID["q"]
			c.Say("43" + strings.TrimSuffix(strings.TrimPrefix(question, "42"), `["q"]`) + `["a"]`)
		}
		answered := 0
		for {
			m, err := acks.Recv()
			if err != nil {
				t.Fatal(err)
			}
			if m.GetAck() != nil {
				answered++
			}
			if s := m.GetSummary(); s != nil {
				if s.GetExpected() != 2 || s.GetAcked() != 2 || answered != 2 {
					t.Errorf("%d answers, and %v", answered, s)
				}
				break
			}
		}
		for _, tt := range []struct {
			err   error
			field string
		}{
			{second(emitter.Emit(ctx, &fanoutv1.EmitRequest{To: to("/nowhere*"), Event: "x"})), "to.namespace"},
			{second(emitter.Emit(ctx, &fanoutv1.EmitRequest{To: to("/**"), Event: "x"})), "to.namespace"},
			{second(emitter.Call(ctx, &fanoutv1.CallRequest{Namespace: "/*", Id: chat, Event: "x", Timeout: durationpb.New(time.Second)})), "namespace"},
			{second(registry.GetConnection(ctx, &fanoutv1.GetConnectionRequest{Namespace: "/*", Id: chat})), "namespace"},
			{second(registry.UpdateConnection(ctx, &fanoutv1.UpdateConnectionRequest{Namespace: "/*", Id: chat})), "namespace"},
			{second(registry.ListRooms(ctx, &fanoutv1.ListRoomsRequest{Namespace: "/*"})), "namespace"},
			{second(registry.ListUsers(ctx, &fanoutv1.ListUsersRequest{Namespace: "/*"})), "namespace"},
		} {
			if got := fields(t, tt.err); status.Code(tt.err) != codes.InvalidArgument || !slices.Equal(got, []string{tt.field}) {
				t.Errorf("%v names %v, want %s", tt.err, got, tt.field)
			}
		}
		disconnect, err := registry.Disconnect(ctx, &fanoutv1.DisconnectRequest{To: to("*")})
		if err != nil || disconnect.GetAffected() != 2 {
			t.Errorf("disconnect: %v, %v", disconnect, err)
		}
		expectNext(t, c, "41", "41/chat,")
		c.Close()
	})
}

func second[T any](_ T, err error) error { return err }

// A key with namespaces may name patterns within these.
func TestSpanningKeepsToTheLimits(t *testing.T) {
	inOneNode(t, dispatch.Options{}, func(w *world) {
		emitter := fanoutv1.NewEmitterServiceClient(w.conn)
		for _, tt := range []struct {
			own, namespace string
			want           codes.Code
		}{
			{"/chat", "/chat", codes.OK},
			{"/c*", "/ch*", codes.OK},
			{"/c*", "/*", codes.PermissionDenied},
			{"/c*", "*", codes.PermissionDenied},
			{"/*", "*", codes.PermissionDenied},
			{"*", "*", codes.OK},
			{"/chat", "/ch*", codes.PermissionDenied},
		} {
			w.control.caller = callerWith(t, identity.Rights{Namespaces: []string{tt.own}})
			_, err := emitter.Emit(w.ctx(), &fanoutv1.EmitRequest{To: &fanoutv1.Target{Namespace: tt.namespace, All: true}, Event: "x"})
			if status.Code(err) != tt.want {
				t.Errorf("emit to %s with a key for %s: %v, want %v", tt.namespace, tt.own, err, tt.want)
			}
		}
	})
}
