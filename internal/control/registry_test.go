package control

import (
	"fmt"
	"maps"
	"math"
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
	"github.com/fanoutd/fanoutd/internal/sio"
)

func dialRegistry(t *testing.T, hub Hub) fanoutv1.RegistryServiceClient {
	t.Helper()
	_, conn := dial(t, hub, Options{Info: Info{Node: "n1"}})
	return fanoutv1.NewRegistryServiceClient(conn)
}

func TestRegistryRefuses(t *testing.T) {
	var (
		client fanoutv1.RegistryServiceClient
		nobody = &fanoutv1.Target{}
		no     = &fanoutv1.Target{Namespace: "/no", All: true}
		long   = strings.Repeat("r", maxRoomName+1)
		nan    = &structpb.Struct{Fields: map[string]*structpb.Value{"ok": value(t, 1), "a b": structpb.NewNumberValue(math.NaN()), "0": {}}}
	)
	list := func(m *fanoutv1.ListConnectionsRequest) func() error {
		return func() error { _, err := client.ListConnections(t.Context(), m); return err }
	}
	get := func(m *fanoutv1.GetConnectionRequest) func() error {
		return func() error { _, err := client.GetConnection(t.Context(), m); return err }
	}
	count := func(m *fanoutv1.CountConnectionsRequest) func() error {
		return func() error { _, err := client.CountConnections(t.Context(), m); return err }
	}
	rooms := func(m *fanoutv1.ListRoomsRequest) func() error {
		return func() error { _, err := client.ListRooms(t.Context(), m); return err }
	}
	namespaces := func(m *fanoutv1.ListNamespacesRequest) func() error {
		return func() error { _, err := client.ListNamespaces(t.Context(), m); return err }
	}
	join := func(m *fanoutv1.JoinRequest) func() error {
		return func() error { _, err := client.Join(t.Context(), m); return err }
	}
	leave := func(m *fanoutv1.LeaveRequest) func() error {
		return func() error { _, err := client.Leave(t.Context(), m); return err }
	}
	disconnect := func(m *fanoutv1.DisconnectRequest) func() error {
		return func() error { _, err := client.Disconnect(t.Context(), m); return err }
	}
	update := func(m *fanoutv1.UpdateConnectionRequest) func() error {
		return func() error { _, err := client.UpdateConnection(t.Context(), m); return err }
	}
	tests := []struct {
		name string
		call func() error
		want []string
	}{
		{"ListConnections: no target", list(&fanoutv1.ListConnectionsRequest{}), []string{"to"}},
		{"ListConnections: empty target", list(&fanoutv1.ListConnectionsRequest{To: nobody}), []string{"to"}},
		{"ListConnections: unknown namespace", list(&fanoutv1.ListConnectionsRequest{To: no}), []string{"to.namespace"}},
		{"ListConnections: page_size over the most", list(&fanoutv1.ListConnectionsRequest{To: toAll(), PageSize: 1001}), []string{"page_size"}},
		{"ListConnections: negative page_size", list(&fanoutv1.ListConnectionsRequest{To: toAll(), PageSize: -1}), []string{"page_size"}},
		{"ListConnections: garbage page_token", list(&fanoutv1.ListConnectionsRequest{To: toAll(), PageToken: "garbage!"}), []string{"page_token"}},
		{"ListConnections: short page_token", list(&fanoutv1.ListConnectionsRequest{To: toAll(), PageToken: "AAAA"}), []string{"page_token"}},
		{
			"ListConnections: everything", list(&fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{Namespace: "no"}, PageSize: -1, PageToken: "x"}),
			[]string{"to", "page_size", "page_token", "to.namespace"},
		},
		{"GetConnection: no id", get(&fanoutv1.GetConnectionRequest{}), []string{"id"}},
		{"GetConnection: unknown namespace", get(&fanoutv1.GetConnectionRequest{Namespace: "/no", Id: "a"}), []string{"namespace"}},
		{"GetConnection: both", get(&fanoutv1.GetConnectionRequest{Namespace: "/no"}), []string{"id", "namespace"}},
		{"CountConnections: empty target", count(&fanoutv1.CountConnectionsRequest{To: nobody}), []string{"to"}},
		{"CountConnections: unknown namespace", count(&fanoutv1.CountConnectionsRequest{To: no}), []string{"to.namespace"}},
		{"CountConnections: unknown namespace, by namespace", count(&fanoutv1.CountConnectionsRequest{To: no, GroupBy: fanoutv1.CountConnectionsRequest_NAMESPACE}), []string{"to.namespace"}},
		{"CountConnections: unknown group_by", count(&fanoutv1.CountConnectionsRequest{To: toAll(), GroupBy: 9}), []string{"group_by"}},
		{"ListRooms: unknown namespace", rooms(&fanoutv1.ListRoomsRequest{Namespace: "/no"}), []string{"namespace"}},
		{"ListRooms: paging", rooms(&fanoutv1.ListRoomsRequest{PageSize: 1001, PageToken: "x"}), []string{"page_size", "page_token"}},
		{"ListNamespaces: paging", namespaces(&fanoutv1.ListNamespacesRequest{PageSize: -5, PageToken: "x"}), []string{"page_size", "page_token"}},
		{"Join: empty target", join(&fanoutv1.JoinRequest{To: nobody, Rooms: []string{"r"}}), []string{"to"}},
		{"Join: no rooms", join(&fanoutv1.JoinRequest{To: toAll()}), []string{"rooms"}},
		{"Join: bad rooms", join(&fanoutv1.JoinRequest{To: toAll(), Rooms: []string{"", "r", long, ""}}), []string{"rooms[0]", "rooms[3]", "rooms[2]"}},
		{"Join: too many rooms", join(&fanoutv1.JoinRequest{To: toAll(), Rooms: slices.Repeat([]string{"r"}, maxRooms+1)}), []string{"rooms"}},
		{"Join: unknown namespace", join(&fanoutv1.JoinRequest{To: no, Rooms: []string{"r"}}), []string{"to.namespace"}},
		{"Leave: everything", leave(&fanoutv1.LeaveRequest{To: &fanoutv1.Target{Namespace: "/no"}}), []string{"to", "rooms", "to.namespace"}},
		{"Leave: empty room", leave(&fanoutv1.LeaveRequest{To: toAll(), Rooms: []string{""}}), []string{"rooms[0]"}},
		{"Disconnect: empty target", disconnect(&fanoutv1.DisconnectRequest{}), []string{"to"}},
		{"Disconnect: contradiction", disconnect(&fanoutv1.DisconnectRequest{To: &fanoutv1.Target{All: true, Users: []string{"u"}}}), []string{"to"}},
		{"Disconnect: unknown mode", disconnect(&fanoutv1.DisconnectRequest{To: toAll(), Mode: 5}), []string{"mode"}},
		{"UpdateConnection: no id", update(&fanoutv1.UpdateConnectionRequest{}), []string{"id"}},
		{"UpdateConnection: unknown namespace", update(&fanoutv1.UpdateConnectionRequest{Namespace: "no", Id: "a"}), []string{"namespace"}},
		{"UpdateConnection: no JSON", update(&fanoutv1.UpdateConnectionRequest{Id: "a", Data: nan}), []string{"data.0", "data.a b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			hub := newMemHub()
			hub.connect("/", "a", "u", "r")
			client = dialRegistry(t, hub)
			if got := fields(t, tt.call()); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if hub.applied() != 0 {
				t.Error("it did something")
			}
		})
	}
}

func TestNotFound(t *testing.T) {
	hub := newMemHub("/chat")
	hub.connect("/chat", "a", "")
	c := dialRegistry(t, hub)
	if _, err := c.GetConnection(t.Context(), &fanoutv1.GetConnectionRequest{Id: "a"}); status.Code(err) != codes.NotFound {
		t.Errorf("GetConnection: got %v, want NOT_FOUND", err)
	}
	if _, err := c.UpdateConnection(t.Context(), &fanoutv1.UpdateConnectionRequest{Id: "a"}); status.Code(err) != codes.NotFound {
		t.Errorf("UpdateConnection: got %v, want NOT_FOUND", err)
	}
}

func TestGetConnection(t *testing.T) {
	hub := newMemHub("/chat")
	hub.connect("/chat", "a", "42", "r")
	hub.spoil = func(c *sio.Connection) {
		c.Data = map[string]any{"n": 1.5, "list": []any{"x", nil}}
		c.QueuedBytes = 7
		c.Recovery = sio.Recovered
		c.Session = "s"
		c.Handshake = &sio.Handshake{
			IssuedAt: time.Unix(1700000000, 0), URL: "/socket.io/?EIO=4", Secure: true,
			Headers: map[string]string{"user-agent": "x"}, Query: map[string]string{"EIO": "4", "q": "1"}, Auth: `{"a":1}`,
		}
	}
	data, err := structpb.NewStruct(map[string]any{"n": 1.5, "list": []any{"x", nil}})
	if err != nil {
		t.Fatal(err)
	}
	auth, err := structpb.NewStruct(map[string]any{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	want := &fanoutv1.Connection{
		Id: "a", Namespace: "/chat", UserId: "42", Rooms: []string{"a", "r"}, Transport: "websocket", Protocol: 4,
		Node: "n1", ConnectedAt: timestamppb.New(time.Unix(1700000001, 0)), Data: data,
		QueuedBytes: 7, Recovered: true, Session: "s", Recovery: fanoutv1.Connection_RECOVERED,
		RemoteAddress: "192.0.2.1:1", Query: map[string]string{"EIO": "4", "q": "1"}, //nolint:staticcheck // readable where it was
		Handshake: &fanoutv1.Handshake{
			Address: "192.0.2.1:1", IssuedAt: timestamppb.New(time.Unix(1700000000, 0)), Url: "/socket.io/?EIO=4", Secure: true,
			Headers: map[string]string{"user-agent": "x"}, Query: map[string]string{"EIO": "4", "q": "1"}, Auth: auth,
		},
	}
	got, err := dialRegistry(t, hub).GetConnection(t.Context(), &fanoutv1.GetConnectionRequest{Namespace: "chat", Id: "a"})
	if err != nil || !proto.Equal(got.GetConnection(), want) {
		t.Errorf("got\n%v, %v, want\n%v", got, err, want)
	}

	hub.spoil = func(c *sio.Connection) { c.Data = map[string]any{"c": make(chan int)} }
	if _, err := dialRegistry(t, hub).GetConnection(t.Context(), &fanoutv1.GetConnectionRequest{Namespace: "chat", Id: "a"}); status.Code(err) != codes.Internal {
		t.Errorf("data that is no JSON: got %v, want INTERNAL", err)
	}
}

// TestViews: what each call answers of a connection by default, and when it is asked for
// more or less.
func TestViews(t *testing.T) {
	hub := newMemHub()
	hub.connect("/", "a", "42", "r")
	c := dialRegistry(t, hub)
	get := func(v fanoutv1.Connection_View) (*fanoutv1.Connection, error) {
		r, err := c.GetConnection(t.Context(), &fanoutv1.GetConnectionRequest{Id: "a", View: v})
		return r.GetConnection(), err
	}
	list := func(v fanoutv1.Connection_View) (*fanoutv1.Connection, error) {
		r, err := c.ListConnections(t.Context(), &fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{All: true}, View: v})
		if err != nil {
			return nil, err
		}
		return r.GetConnections()[0], nil
	}
	update := func(v fanoutv1.Connection_View) (*fanoutv1.Connection, error) {
		r, err := c.UpdateConnection(t.Context(), &fanoutv1.UpdateConnectionRequest{Id: "a", View: v})
		return r.GetConnection(), err
	}
	for _, tt := range []struct {
		name      string
		call      func(fanoutv1.Connection_View) (*fanoutv1.Connection, error)
		byDefault bool // the handshake is there
	}{{"get", get, true}, {"list", list, false}, {"update", update, false}} {
		for view, want := range map[fanoutv1.Connection_View]bool{
			fanoutv1.Connection_DEFAULT: tt.byDefault, fanoutv1.Connection_BASIC: false, fanoutv1.Connection_FULL: true,
		} {
			got, err := tt.call(view)
			if err != nil {
				t.Fatal(err)
			}
			if got.GetUserId() != "42" || len(got.GetRooms()) != 2 || got.GetRemoteAddress() != "192.0.2.1:1" || (got.GetHandshake() != nil) != want {
				t.Errorf("%s, %v: %v", tt.name, view, got)
			}
		}
		if _, err := tt.call(7); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s, a view that there is not: %v", tt.name, err)
		}
	}
}

func TestCountConnections(t *testing.T) {
	hub := newMemHub("/chat")
	hub.connect("/", "a", "u", "r", "s")
	hub.connect("/", "b", "", "r")
	hub.connect("/", "c", "")
	hub.connect("/chat", "d", "")
	c := dialRegistry(t, hub)
	tests := []struct {
		name  string
		to    *fanoutv1.Target
		by    fanoutv1.CountConnectionsRequest_GroupBy
		total uint32
		want  map[string]uint32
	}{
		{"none", toAll(), fanoutv1.CountConnectionsRequest_NONE, 3, nil},
		{"none of nobody", toRoom("x"), fanoutv1.CountConnectionsRequest_NONE, 0, nil},
		{"room", toRoom("r"), fanoutv1.CountConnectionsRequest_ROOM, 2, map[string]uint32{"a": 1, "b": 1, "r": 2, "s": 1}},
		{"node", toAll(), fanoutv1.CountConnectionsRequest_NODE, 3, map[string]uint32{"n1": 3}},
		{"node of nobody", toRoom("x"), fanoutv1.CountConnectionsRequest_NODE, 0, nil},
		{"user", toAll(), fanoutv1.CountConnectionsRequest_USER, 3, map[string]uint32{"u": 1}},
		{"transport", toAll(), fanoutv1.CountConnectionsRequest_TRANSPORT, 3, map[string]uint32{"websocket": 3}},
		{"namespace, every", toAll(), fanoutv1.CountConnectionsRequest_NAMESPACE, 4, map[string]uint32{"/": 3, "/chat": 1}},
		{"namespace, one", &fanoutv1.Target{Namespace: "chat", All: true}, fanoutv1.CountConnectionsRequest_NAMESPACE, 1, map[string]uint32{"/chat": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := c.CountConnections(t.Context(), &fanoutv1.CountConnectionsRequest{To: tt.to, GroupBy: tt.by})
			if err != nil || resp.GetTotal() != tt.total || !maps.Equal(resp.GetCounts(), tt.want) {
				t.Errorf("got %v, %v, want %d, %v", resp, err, tt.total, tt.want)
			}
		})
	}
}

func TestCountConnectionsBoundsGroups(t *testing.T) {
	hub := newMemHub()
	for i := range maxGroups + 1 {
		hub.connect("/", fmt.Sprint(i), "")
	}
	c := dialRegistry(t, hub)
	_, err := c.CountConnections(t.Context(), &fanoutv1.CountConnectionsRequest{To: toAll(), GroupBy: fanoutv1.CountConnectionsRequest_ROOM})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v, want FAILED_PRECONDITION", err)
	}
}

func TestListUsers(t *testing.T) {
	hub := newMemHub()
	for i := range 5 {
		hub.connect("/", fmt.Sprint("id", i), fmt.Sprint("user ", i%3))
	}
	hub.connect("/", "nobody's", "")
	c := dialRegistry(t, hub)
	var got []string
	req := &fanoutv1.ListUsersRequest{PageSize: 2}
	for {
		page, err := c.ListUsers(t.Context(), req)
		if err != nil || len(page.GetUsers()) > 2 {
			t.Fatalf("got %v, %v", page, err)
		}
		for _, u := range page.GetUsers() {
			got = append(got, fmt.Sprint(u.GetUserId(), "=", u.GetConnections()))
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if want := "[user 0=2 user 1=2 user 2=1]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	rooms, err := c.ListRooms(t.Context(), &fanoutv1.ListRoomsRequest{PageSize: 2, IncludeIds: true})
	if err != nil || rooms.GetNextPageToken() == "" {
		t.Fatalf("rooms: %v, %v", rooms, err)
	}
	for field, req := range map[string]*fanoutv1.ListUsersRequest{
		"page_token": {PageToken: rooms.GetNextPageToken()},
		"page_size":  {PageSize: -1},
		"namespace":  {Namespace: "/none"},
	} {
		if _, err := c.ListUsers(t.Context(), req); !slices.Equal(fields(t, err), []string{field}) {
			t.Errorf("%v: %v", req, err)
		}
	}
}
