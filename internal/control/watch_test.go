package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// look begins a Watch and waits until it has begun.
func (w *world) look(req *fanoutv1.WatchRequest) grpc.ServerStreamingClient[fanoutv1.WatchResponse] {
	w.t.Helper()
	s, err := fanoutv1.NewRegistryServiceClient(w.conn).Watch(w.ctx(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := s.Header(); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// told returns the next changes, one after the other, without what tests do not know.
func told(t *testing.T, s grpc.ServerStreamingClient[fanoutv1.WatchResponse], count int) string {
	t.Helper()
	var all []string
	for len(all) < count {
		m, err := s.Recv()
		if err != nil {
			t.Fatalf("after %q: %v", all, err)
		}
		for _, c := range m.GetChanges() {
			switch c := c.GetChange().(type) {
			case *fanoutv1.WatchResponse_Change_Added:
				all = append(all, fmt.Sprintf("added %v", c.Added.GetConnection().GetHandshake() != nil))
			case *fanoutv1.WatchResponse_Change_Removed:
				all = append(all, "removed "+c.Removed.GetReason())
			case *fanoutv1.WatchResponse_Change_Updated:
				all = append(all, fmt.Sprintf("updated %s: %v", c.Updated.GetConnection().GetUserId(), c.Updated.GetConnection().GetData().AsMap()))
			case *fanoutv1.WatchResponse_Change_Joined:
				all = append(all, fmt.Sprint("joined ", c.Joined.GetRooms()))
			case *fanoutv1.WatchResponse_Change_Left:
				all = append(all, fmt.Sprint("left ", c.Left.GetRooms()))
			case *fanoutv1.WatchResponse_Change_RoomCreated:
				all = append(all, "room "+c.RoomCreated.GetRoom())
			case *fanoutv1.WatchResponse_Change_RoomDeleted:
				all = append(all, "no room "+c.RoomDeleted.GetRoom())
			case *fanoutv1.WatchResponse_Change_UserOnline:
				all = append(all, "user "+c.UserOnline.GetUserId())
			case *fanoutv1.WatchResponse_Change_UserOffline:
				all = append(all, "no user "+c.UserOffline.GetUserId())
			case *fanoutv1.WatchResponse_Change_Synced:
				all = append(all, "synced "+c.Synced.GetNode())
			case *fanoutv1.WatchResponse_Change_Resync:
				all = append(all, "resync "+c.Resync.GetNode())
			}
		}
	}
	return strings.Join(all, ", ")
}

func TestWatch(t *testing.T) {
	inWorld(t, dispatch.Options{}, func(w *world) {
		registry, to := fanoutv1.NewRegistryServiceClient(w.conn), &fanoutv1.Target{Namespace: "/chat", All: true}
		c, id := w.connect("/chat")
		defer c.Close()
		one := &fanoutv1.Target{Namespace: "/chat", Ids: []string{id}}
		all := w.look(&fanoutv1.WatchRequest{To: to})
		full := w.look(&fanoutv1.WatchRequest{To: to, View: fanoutv1.Connection_FULL})
		names := w.look(&fanoutv1.WatchRequest{To: to, Kinds: []fanoutv1.WatchRequest_Kind{fanoutv1.WatchRequest_ROOMS, fanoutv1.WatchRequest_USERS}})
		elsewhere := w.look(&fanoutv1.WatchRequest{To: toAll()})
		pattern := w.look(&fanoutv1.WatchRequest{To: &fanoutv1.Target{Namespace: "/ch*", All: true}})
		expect := func(s grpc.ServerStreamingClient[fanoutv1.WatchResponse], want string) {
			t.Helper()
			if got := told(t, s, strings.Count(want, ",")+1); got != want {
				t.Errorf("told %q, want %q", got, want)
			}
		}
		expect(all, "added false, synced ")
		expect(pattern, "added false, synced ")
		expect(full, "added true, synced ")
		expect(names, "synced ")
		expect(elsewhere, "synced ")
		if _, err := registry.Join(w.ctx(), &fanoutv1.JoinRequest{To: one, Rooms: []string{"r", "s"}}); err != nil {
			t.Fatal(err)
		}
		expect(all, "joined [r s]")
		expect(names, "room r, room s")
		update := &fanoutv1.UpdateConnectionsRequest{To: one, Data: object(t, map[string]any{"k": "v"}), UserId: proto.String("u")}
		if _, err := registry.UpdateConnections(w.ctx(), update); err != nil {
			t.Fatal(err)
		}
		expect(all, "updated u: map[k:v]")
		expect(names, "user u")
		if _, err := registry.Leave(w.ctx(), &fanoutv1.LeaveRequest{To: one, Rooms: []string{"r"}}); err != nil {
			t.Fatal(err)
		}
		expect(all, "left [r]")
		expect(names, "no room r")
		if _, err := registry.Disconnect(w.ctx(), &fanoutv1.DisconnectRequest{To: one}); err != nil {
			t.Fatal(err)
		}
		expect(all, "removed server namespace disconnect")
		expect(names, "no room s, no user u")
		if m, err := elsewhere.Recv(); err != nil || !m.GetHeartbeat() || len(m.GetChanges()) > 0 {
			t.Errorf("where nothing happens: %v, %v, want a heartbeat", m, err)
		}
	})
}

// A node that does not answer is named, and what is known of it stands; a node that is gone
// takes with it what nobody else has.
func TestWatchNamesNodes(t *testing.T) {
	inBubble(t, dispatch.Options{}, (*world).startNodes, func(w *world) {
		registry := fanoutv1.NewRegistryServiceClient(w.conn)
		browsers, api := w.nodes[0], w.nodes[1]
		c, _ := w.connect("")
		defer c.Close()
		if _, err := registry.UpdateConnections(w.ctx(), &fanoutv1.UpdateConnectionsRequest{To: toAll(), UserId: proto.String("u")}); err != nil {
			t.Fatal(err)
		}
		s := w.look(&fanoutv1.WatchRequest{To: toAll(), Kinds: []fanoutv1.WatchRequest_Kind{fanoutv1.WatchRequest_CONNECTIONS, fanoutv1.WatchRequest_USERS}})
		if got, want := told(t, s, 3), "user u, added false, synced "; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		way := func(change func(from, to string)) {
			change(browsers.Self().Name, api.Self().Name)
			change(api.Self().Name, browsers.Self().Name)
		}
		unreachable := func() []string {
			for {
				m, err := s.Recv()
				if err != nil || len(m.GetChanges()) > 0 {
					t.Fatalf("got %v, %v, want word of who does not answer", m, err)
				}
				if !m.GetHeartbeat() {
					return m.GetUnreachable()
				}
			}
		}
		way(browsers.Bus.Cut)
		if got := unreachable(); !slices.Equal(got, []string{"n1"}) {
			t.Errorf("unreachable %q", got)
		}
		way(browsers.Bus.Heal)
		if got, want := told(t, s, 3), "resync n1, added false, synced n1"; got != want {
			t.Errorf("told %q when it answers again, want %q", got, want)
		}
		way(browsers.Bus.Cut)
		if got := unreachable(); !slices.Equal(got, []string{"n1"}) {
			t.Errorf("unreachable %q", got)
		}
		if got, want := told(t, s, 3), "resync n1, no user u, synced n1"; got != want {
			t.Errorf("told %q when it is given up, want %q", got, want)
		}
	})
}

func TestWatchRefused(t *testing.T) {
	_, conn := dial(t, newMemHub("/chat"), Options{})
	registry := fanoutv1.NewRegistryServiceClient(conn)
	for _, tt := range []struct {
		name string
		req  *fanoutv1.WatchRequest
		want []string
	}{
		{"nobody", &fanoutv1.WatchRequest{}, []string{"to"}},
		{"an unknown namespace", &fanoutv1.WatchRequest{To: &fanoutv1.Target{Namespace: "/none", All: true}}, []string{"to.namespace"}},
		{"an owner", &fanoutv1.WatchRequest{To: &fanoutv1.Target{All: true, Owner: &fanoutv1.Target_Owner{Group: "g", ConsumerId: "c"}}}, []string{"to.owner"}},
		{"no kind and no view", &fanoutv1.WatchRequest{To: toAll(), Kinds: []fanoutv1.WatchRequest_Kind{1, 9}, View: 9}, []string{"kinds[1]", "view"}},
	} {
		s, err := registry.Watch(t.Context(), tt.req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Recv(); !slices.Equal(fields(t, err), tt.want) {
			t.Errorf("%s: %v, want a problem of %q", tt.name, err, tt.want)
		}
	}
}

// Watches are bounded, and end with the streams of events.
func TestWatchesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, conn := dial(t, newMemHub(), Options{})
		registry := fanoutv1.NewRegistryServiceClient(conn)
		var all []grpc.ServerStreamingClient[fanoutv1.WatchResponse]
		for range maxWatches {
			s, err := registry.Watch(t.Context(), &fanoutv1.WatchRequest{To: toAll()})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		synctest.Wait()
		s, err := registry.Watch(t.Context(), &fanoutv1.WatchRequest{To: toAll()})
		if err == nil {
			_, err = s.Recv()
		}
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("one more: %v, want RESOURCE_EXHAUSTED", err)
		}
		server.EndStreams()
		for _, s := range all {
			_, err := s.Recv() // Synced
			if err == nil {
				_, err = s.Recv()
			}
			if status.Code(err) != codes.Unavailable {
				t.Errorf("at the end: %v, want UNAVAILABLE", err)
			}
		}
	})
}

// A reader that is slower than what happens is told anew what there is.
func TestWatchOfASlowReader(t *testing.T) {
	inOneNode(t, dispatch.Options{}, func(w *world) {
		c, id := w.connect("")
		c.Idle()
		defer c.Close()
		req := &fanoutv1.WatchRequest{To: toAll(), Kinds: []fanoutv1.WatchRequest_Kind{fanoutv1.WatchRequest_CONNECTIONS, fanoutv1.WatchRequest_ROOMS}}
		s := w.look(req)
		registry := fanoutv1.NewRegistryServiceClient(w.conn)
		var join, leave []*fanoutv1.Operation
		for i := range 500 {
			to, rooms := &fanoutv1.Target{Ids: []string{id}}, []string{fmt.Sprint(i, strings.Repeat("x", 1000))}
			join = append(join, &fanoutv1.Operation{Operation: &fanoutv1.Operation_Join{Join: &fanoutv1.JoinRequest{To: to, Rooms: rooms}}})
			leave = append(leave, &fanoutv1.Operation{Operation: &fanoutv1.Operation_Leave{Leave: &fanoutv1.LeaveRequest{To: to, Rooms: rooms}}})
		}
		emitter := fanoutv1.NewEmitterServiceClient(w.conn)
		for range 15 {
			for _, operations := range [][]*fanoutv1.Operation{join, leave} {
				if _, err := emitter.Batch(w.ctx(), &fanoutv1.BatchRequest{Operations: operations}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := emitter.Batch(w.ctx(), &fanoutv1.BatchRequest{Operations: join[:3]}); err != nil {
			t.Fatal(err)
		}
		p := see(s, func() {})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		p.compare(t, "a slow reader", registry, req)
		if p.resyncs == 0 {
			t.Error("it was never told anew")
		}
	})
}

// A node's doubt is nobody's news: names that it has still are told once.
func TestWatchedNames(t *testing.T) {
	w, u, r := newWatchedNames(), watchedName{true, "/", "u"}, watchedName{false, "/", "u"}
	check := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("the first", w.add("a", u), true)
	check("a room of that name", w.add("a", r), true)
	check("again", w.add("a", u), false)
	check("the second node", w.add("b", u), false)
	check("the first is gone", w.remove("a", u), false)
	check("of a node that has not", w.remove("a", u), false)
	w.doubt("b")
	check("in doubt, and told again", w.add("b", u), false)
	check("settled", w.settle("b"), "[]")
	w.doubt("b")
	check("settled without it", w.settle("b"), []watchedName{u})
	check("once more", w.settle("b"), "[]")
	check("an unknown node", w.settle("c"), "[]")
	check("the room is gone", w.remove("a", r), true)
	check("what is left", fmt.Sprint(len(w.nodes), len(w.count)), "0 0")
	var _ sio.Watch = (*memWatch)(nil)
}
