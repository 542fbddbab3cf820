package control

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

// lacks fails unless st refuses a key that lacks this scope.
func lacks(t *testing.T, st *status.Status, scope identity.Scope) {
	t.Helper()
	var info *errdetails.ErrorInfo
	if len(st.Details()) == 1 {
		info, _ = st.Details()[0].(*errdetails.ErrorInfo)
	}
	if st.Code() != codes.PermissionDenied || info.GetReason() != "SCOPE_MISSING" || info.GetMetadata()["scope"] != string(scope) {
		t.Errorf("got %v with %v, want PERMISSION_DENIED, SCOPE_MISSING of %s", st, info, scope)
	}
}

// To authorise needs its own scope beside that of Consume, whatever else is wrong with
// the request; without it the group does not begin to.
func TestConsumeNeedsTheScopeToAuthorize(t *testing.T) {
	inOneNode(t, dispatch.Options{}, func(w *world) {
		w.control.caller = callerWith(t, identity.Rights{Scopes: []identity.Scope{identity.Consume}})
		for _, group := range []string{"g", ""} {
			k := w.open(opening(&fanoutv1.ConsumeRequest_Open{Group: group, Authorize: true}))
			lacks(w.t, k.ends(codes.PermissionDenied), identity.Authorize)
		}
		c, _ := w.connect("") // nobody has to allow it
		c.Close()
		w.consume(&fanoutv1.ConsumeRequest_Open{}).close()

		w.control.caller = callerWith(t, identity.Rights{Scopes: []identity.Scope{identity.Consume, identity.Authorize}})
		w.consume(&fanoutv1.ConsumeRequest_Open{Authorize: true}).close()
	})
}

// A key with namespaces or rooms reaches what is theirs and nothing else, whatever else is
// wrong with the request. field is what a refusal names, "allowed" if there is none.
func TestLimits(t *testing.T) {
	const allowed = "allowed"
	shop := identity.Rights{Namespaces: []string{"shop", "/tenant-*"}}
	orders := identity.Rights{Rooms: []string{"order:*"}}
	both := identity.Rights{Namespaces: shop.Namespaces, Rooms: orders.Rooms}
	in := func(namespace string, rooms ...string) *fanoutv1.Target {
		return &fanoutv1.Target{Namespace: namespace, Rooms: rooms}
	}
	all := func(namespace string) *fanoutv1.Target { return &fanoutv1.Target{Namespace: namespace, All: true} }
	type clients struct {
		fanoutv1.EmitterServiceClient
		fanoutv1.RegistryServiceClient
	}
	type call = func(context.Context, clients) error
	emit := func(to *fanoutv1.Target) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.Emit(ctx, &fanoutv1.EmitRequest{To: to, Event: "e"})
			return err
		}
	}
	list := func(to *fanoutv1.Target) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.ListConnections(ctx, &fanoutv1.ListConnectionsRequest{To: to})
			return err
		}
	}
	count := func(to *fanoutv1.Target, by fanoutv1.CountConnectionsRequest_GroupBy) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.CountConnections(ctx, &fanoutv1.CountConnectionsRequest{To: to, GroupBy: by})
			return err
		}
	}
	join := func(to *fanoutv1.Target, rooms ...string) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.Join(ctx, &fanoutv1.JoinRequest{To: to, Rooms: rooms})
			return err
		}
	}
	leave := func(to *fanoutv1.Target, rooms ...string) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.Leave(ctx, &fanoutv1.LeaveRequest{To: to, Rooms: rooms})
			return err
		}
	}
	disconnect := func(to *fanoutv1.Target, mode fanoutv1.DisconnectRequest_Mode) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.Disconnect(ctx, &fanoutv1.DisconnectRequest{To: to, Mode: mode})
			return err
		}
	}
	get := func(namespace string) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.GetConnection(ctx, &fanoutv1.GetConnectionRequest{Namespace: namespace, Id: "a"})
			return err
		}
	}
	update := func(namespace string) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.UpdateConnection(ctx, &fanoutv1.UpdateConnectionRequest{Namespace: namespace, Id: "a"})
			return err
		}
	}
	updateAll := func(to *fanoutv1.Target, user *string) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.UpdateConnections(ctx, &fanoutv1.UpdateConnectionsRequest{To: to, UserId: user})
			return err
		}
	}
	ask := func(namespace string) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.Call(ctx, &fanoutv1.CallRequest{Namespace: namespace, Id: "nobody", Event: "e", Timeout: durationpb.New(1)})
			return err
		}
	}
	rooms := func(namespace string) call {
		return func(ctx context.Context, c clients) error {
			_, err := c.ListRooms(ctx, &fanoutv1.ListRoomsRequest{Namespace: namespace})
			return err
		}
	}
	watch := func(to *fanoutv1.Target) call {
		return func(ctx context.Context, c clients) error {
			s, err := c.Watch(ctx, &fanoutv1.WatchRequest{To: to})
			if err == nil {
				_, err = s.Recv()
			}
			return err
		}
	}
	emitWithAck := func(to *fanoutv1.Target) call {
		return func(ctx context.Context, c clients) error {
			s, err := c.EmitWithAck(ctx, &fanoutv1.EmitWithAckRequest{Emit: &fanoutv1.EmitRequest{To: to, Event: "e"}, Timeout: durationpb.New(1)})
			if err == nil {
				_, err = s.Recv()
			}
			return err
		}
	}
	batch := func(to *fanoutv1.Target) call {
		return func(ctx context.Context, c clients) error {
			resp, err := c.EmitBatch(ctx, &fanoutv1.EmitBatchRequest{Emits: []*fanoutv1.EmitRequest{{To: to, Event: "e"}}})
			if err != nil {
				return err
			}
			return status.Error(codes.Code(resp.GetResults()[0].GetStatus().GetCode()), resp.GetResults()[0].GetStatus().GetMessage())
		}
	}
	stream := func(to *fanoutv1.Target) call {
		return func(ctx context.Context, c clients) error {
			s, err := c.EmitStream(ctx)
			if err != nil {
				return err
			}
			if err := s.Send(&fanoutv1.EmitStreamRequest{Sequence: 1, Emit: &fanoutv1.EmitRequest{To: to, Event: "e"}}); err != nil {
				return err
			}
			resp, err := s.Recv()
			if err != nil || len(resp.GetErrors()) == 0 {
				return err
			}
			return status.Error(codes.Code(resp.GetErrors()[0].GetStatus().GetCode()), resp.GetErrors()[0].GetStatus().GetMessage())
		}
	}
	const bySession = fanoutv1.DisconnectRequest_SESSION
	for _, tt := range []struct {
		name   string
		rights identity.Rights
		call   call
		field  string
	}{
		{"emit to its namespace", shop, emit(all("/shop")), allowed},
		{"emit to one of a pattern, without the slash", shop, emit(all("tenant-1")), allowed},
		{"emit to another", shop, emit(all("/")), "to.namespace"},
		{"emit to none that there is", shop, emit(all("/nowhere")), "to.namespace"},
		{"emit, and nobody is selected", shop, emit(in("/")), "to.namespace"},
		{"emit to its room", orders, emit(in("/", "order:1")), allowed},
		{"emit to its room and another", orders, emit(in("/", "order:1", "staff")), "to.rooms[1]"},
		{"emit to all but its room", orders, emit(&fanoutv1.Target{All: true, Except: []string{"order:1"}}), "to.all"},
		{"emit to its room but another", orders, emit(&fanoutv1.Target{Rooms: []string{"order:1"}, Except: []string{"staff"}}), allowed},
		{"emit to its room and a user", orders, emit(&fanoutv1.Target{Rooms: []string{"order:1"}, Users: []string{"u"}}), "to.users"},
		{"emit to its room and an id", orders, emit(&fanoutv1.Target{Rooms: []string{"order:1"}, Ids: []string{"a"}}), "to.ids"},
		{"emit to its room in its namespace", both, emit(in("/shop", "order:1")), allowed},
		{"emit to its room elsewhere", both, emit(in("/", "order:1")), "to.namespace"},
		{"emit to another room there", both, emit(in("/shop", "staff")), "to.rooms[0]"},
		{"batch", shop, batch(all("/shop")), allowed},
		{"batch to another", shop, batch(all("/")), "emits[0].to.namespace"},
		{"stream", orders, stream(in("/", "order:1")), allowed},
		{"stream to another", orders, stream(in("/", "staff")), "emit.to.rooms[0]"},
		{"await", shop, emitWithAck(in("/shop", "empty")), allowed},
		{"await another", shop, emitWithAck(in("/", "empty")), "emit.to.namespace"},
		{"call", shop, ask("/shop"), allowed},
		{"call another", shop, ask("/"), "namespace"},
		{"call with rooms", orders, ask("/"), "id"},
		{"list", shop, list(all("/shop")), allowed},
		{"list another", shop, list(all("/")), "to.namespace"},
		{"list with rooms", orders, list(in("/", "order:1")), ""},
		{"watch", shop, watch(all("/shop")), allowed},
		{"watch another", shop, watch(all("/")), "to.namespace"},
		{"watch with rooms", orders, watch(in("/", "order:1")), ""},
		{"count", shop, count(all("/shop"), fanoutv1.CountConnectionsRequest_ROOM), allowed},
		{"count by namespace", shop, count(all(""), fanoutv1.CountConnectionsRequest_NAMESPACE), "to.namespace"},
		{"count by namespace, with the root", identity.Rights{Namespaces: []string{"/"}}, count(all(""), fanoutv1.CountConnectionsRequest_NAMESPACE), "to.namespace"},
		{"count its room", orders, count(in("/", "order:1"), fanoutv1.CountConnectionsRequest_NODE), allowed},
		{"count by room", orders, count(in("/", "order:1"), fanoutv1.CountConnectionsRequest_ROOM), allowed},
		{"count another room", orders, count(in("/", "staff"), fanoutv1.CountConnectionsRequest_ROOM), "to.rooms[0]"},
		{"rooms", shop, rooms("/shop"), allowed},
		{"rooms of another", shop, rooms("/"), "namespace"},
		{"rooms with rooms", orders, rooms("/"), allowed},
		{"rooms of another namespace with rooms", both, rooms("/"), "namespace"},
		{"get", shop, get("/shop"), allowed},
		{"get of another", shop, get("/"), "namespace"},
		{"get with rooms", orders, get("/"), "id"},
		{"update", shop, update("/shop"), allowed},
		{"update of another", shop, update("/"), "namespace"},
		{"update with rooms", orders, update("/"), "id"},
		{"update of its room", orders, updateAll(in("/", "order:1"), nil), allowed},
		{"update of its room's users", orders, updateAll(in("/", "order:1"), new(string)), "user_id"},
		{"update of its namespace's users", shop, updateAll(in("/shop", "r"), new(string)), allowed},
		{"join", orders, join(in("/", "order:1"), "order:2"), allowed},
		{"join another", orders, join(in("/", "order:1"), "order:2", "staff"), "rooms[1]"},
		{"join who is elsewhere", orders, join(in("/", "staff"), "order:2"), "to.rooms[0]"},
		{"leave", orders, leave(in("/", "order:1"), "order:2"), allowed},
		{"leave another", orders, leave(in("/", "order:1"), "staff"), "rooms[0]"},
		{"disconnect", both, disconnect(in("/shop", "order:9"), fanoutv1.DisconnectRequest_NAMESPACE), allowed},
		{"disconnect from others too", shop, disconnect(in("/shop", "order:9"), bySession), "mode"},
		{"disconnect from others too, by room", orders, disconnect(in("/", "order:9"), fanoutv1.DisconnectRequest_TRANSPORT), "mode"},
		{"disconnect who is elsewhere", orders, disconnect(in("/", "staff"), fanoutv1.DisconnectRequest_NAMESPACE), "to.rooms[0]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hub := newMemHub("/", "/shop", "/tenant-1")
			for _, namespace := range []string{"/", "/shop"} {
				hub.connect(namespace, "a", "u", "order:1", "staff")
			}
			s, conn := dial(t, hub, Options{})
			s.caller = callerWith(t, tt.rights)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			st := status.Convert(tt.call(ctx, clients{fanoutv1.NewEmitterServiceClient(conn), fanoutv1.NewRegistryServiceClient(conn)}))
			if tt.field == allowed {
				if c := st.Code(); c != codes.OK && c != codes.NotFound { // Call: of nobody
					t.Errorf("refused: %v", st)
				}
				return
			}
			if st.Code() != codes.PermissionDenied || !strings.Contains(st.Message(), tt.field) || hub.applied() != 0 {
				t.Errorf("got %v with %d applied, want PERMISSION_DENIED of %q", st, hub.applied(), tt.field)
			}
			for _, d := range st.Details() {
				info, _ := d.(*errdetails.ErrorInfo)
				if info.GetReason() != "KEY_LIMITED" || info.GetMetadata()["field"] != tt.field || info.GetMetadata()["key"] != "limited" {
					t.Errorf("got %v, want KEY_LIMITED of %q", info, tt.field)
				}
			}
		})
	}
}

// A key with namespaces watches these, also if it names none; one with rooms nothing.
func TestTailKeepsToTheLimits(t *testing.T) {
	inOneNode(t, dispatch.Options{}, func(w *world) {
		w.control.caller = callerWith(w.t, identity.Rights{Namespaces: []string{"/ch*"}})
		own, named := w.watch(&fanoutv1.TailRequest{}), w.watch(&fanoutv1.TailRequest{Namespaces: []string{"chat"}})
		w.connect("")
		_, id := w.connect("/chat")
		for _, s := range []grpc.ServerStreamingClient[fanoutv1.TailResponse]{own, named} {
			if e := seen(w.t, s).GetEvent(); e.GetConnectionId() != id {
				w.t.Errorf("the first that is shown is %v, want the connection to /chat", e)
			}
		}
		denied := func(req *fanoutv1.TailRequest, field string) {
			w.t.Helper()
			s, err := w.client.Tail(w.ctx(), req)
			if err == nil {
				_, err = s.Recv()
			}
			st := status.Convert(err)
			if st.Code() != codes.PermissionDenied || !strings.HasPrefix(st.Message(), field) {
				w.t.Errorf("%v: got %v, want PERMISSION_DENIED of %s", req, st, field)
			}
		}
		for _, namespace := range []string{"/", "/*", "*", "/nowhere"} {
			denied(&fanoutv1.TailRequest{Namespaces: []string{"/chat", namespace}}, "namespaces[1]: ")
		}
		w.control.caller = callerWith(w.t, identity.Rights{Rooms: []string{"r"}})
		denied(&fanoutv1.TailRequest{}, "the key")
		w.control.caller = callerWith(w.t, identity.Rights{Namespaces: []string{"/[a-z]*"}}) // no pattern of namespaces
		denied(&fanoutv1.TailRequest{}, "the key")
	})
}
