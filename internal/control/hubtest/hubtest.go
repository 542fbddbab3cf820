// Package hubtest is the contract of a [control.Hub] as a test that every Hub
// passes: the Socket.IO server, the one in memory that the services are tested
// with, and whatever joins several of them.
package hubtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// Fixture is a Hub under test and a way to have connections on it.
type Fixture struct {
	// Hub has the namespaces "/" and "/chat", nobody in them, and no others.
	Hub control.Hub
	// Connect adds a connection and returns its id.
	Connect func(namespace, user string, rooms ...string) (id string)
	// Nodes are the names of those that may hold the connections. Default: "node".
	Nodes []string
}

// node is the name of the one node, or what stands for those there are: tests sum up.
func (f *Fixture) node(name string) string {
	if slices.Contains(f.Nodes, name) {
		return "node"
	}
	return name
}

// Test tests the Hub that fresh makes, a new one for each part.
func Test(t *testing.T, fresh func(t *testing.T) Fixture) {
	for name, part := range map[string]func(t *testing.T, f Fixture){
		"unknown namespace": unknownNamespace,
		"operations":        operations,
		"connection":        connection,
		"pages":             pages,
		"pages under churn": churn,
		"cursors":           cursors,
		"counts":            counts,
		"names":             names,
		"watches":           watches,
	} {
		t.Run(name, func(t *testing.T) { part(t, fresh(t)) })
	}
}

func in(namespace string, sel room.Selector) sio.Target {
	return sio.Target{Namespace: namespace, Selector: sel}
}

func everybody(namespace string) sio.Target { return in(namespace, room.Selector{All: true}) }

// ofNobody is the target for an owner that is not there.
func ofNobody(to sio.Target) sio.Target {
	to.Owner = sio.Owner{Group: "none", ConsumerID: "nobody"}
	return to
}

func unknownNamespace(t *testing.T, f Fixture) {
	ctx, to := t.Context(), everybody("/none")
	_, apply := f.Hub.Apply(ctx, sio.Emit{To: to, Event: "e"})
	_, update := f.Hub.Apply(ctx, sio.Update{Namespace: "/none", ID: "id"})
	_, connections := f.Hub.Connections(ctx, to, "", 1)
	_, cursor := f.Hub.Connections(ctx, to, "no cursor", 1)
	_, connection := f.Hub.Connection(ctx, "/none", "id")
	_, count := f.Hub.Count(ctx, to, sio.GroupNone)
	_, rooms := f.Hub.Rooms(ctx, "/none", sio.RoomFilter{}, "", 1)
	_, users := f.Hub.Users(ctx, "/none", "", "", 1)
	for what, err := range map[string]error{
		"Apply": apply, "Apply of an Update": update, "Connections": connections, "Connections behind a cursor": cursor,
		"Connection": connection, "Count": count, "Rooms": rooms, "Users": users,
	} {
		if !errors.Is(err, sio.ErrUnknownNamespace) {
			t.Errorf("%s: %v, want ErrUnknownNamespace", what, err)
		}
	}
	for name, want := range map[string]bool{"/": true, "/chat": true, "/none": false, "": false, "/ch*": true, "/no*": false, "*": true, "/**": false} {
		if got, err := f.Hub.HasNamespace(ctx, name); got != want || err != nil {
			t.Errorf("HasNamespace(%q) = %v, %v, want %v", name, got, err, want)
		}
	}
}

func operations(t *testing.T, f Fixture) {
	a, b := f.Connect("/", "u"), f.Connect("/", "u")
	f.Connect("/chat", "u")
	only := func(id string) sio.Target { return in("/", room.Selector{IDs: []string{id}}) }
	r := in("/", room.Selector{Rooms: []string{"r"}})
	of := func(user string) sio.Target { return in("/", room.Selector{Users: []string{user}}) }
	login, logout := "v", ""
	for _, step := range []struct {
		op   sio.Op
		want int
	}{
		{sio.Emit{To: everybody("/"), Event: "e"}, 2},
		{sio.Emit{To: r, Event: "e"}, 0},
		{sio.Join{To: only(a), Rooms: []string{"r"}}, 1},
		{sio.Join{To: only(a), Rooms: []string{"r"}}, 1},
		{sio.Emit{To: r, Event: "e"}, 1},
		{sio.Emit{To: in("/", room.Selector{Rooms: []string{"r"}, IDs: []string{a}, Users: []string{"u"}}), Event: "e"}, 2},
		{sio.Emit{To: in("/", room.Selector{All: true, Except: []string{"r"}}), Event: "e"}, 1},
		{sio.Emit{To: ofNobody(everybody("/")), Event: "e"}, 0},
		{sio.Leave{To: ofNobody(r), Rooms: []string{"r"}}, 0},
		{sio.Leave{To: everybody("/"), Rooms: []string{"r"}}, 2},
		{sio.Emit{To: r, Event: "e"}, 0},
		{sio.Update{Namespace: "/", ID: b, Changes: sio.Changes{Data: map[string]any{"k": "v"}}}, 1},
		{sio.Update{Namespace: "/", ID: b, Changes: sio.Changes{User: &login}}, 1},
		{sio.Emit{To: of(login), Event: "e"}, 1},
		{sio.Emit{To: of("u"), Event: "e"}, 1},
		{sio.UpdateAll{To: of(login), Changes: sio.Changes{User: &logout}}, 1},
		{sio.Emit{To: of(login), Event: "e"}, 0},
		{sio.Disconnect{To: only(a)}, 1},
		{sio.Disconnect{To: only(a), Mode: sio.DisconnectTransport}, 0},
		{sio.Emit{To: everybody("/"), Event: "e"}, 1},
	} {
		got, err := f.Hub.Apply(t.Context(), step.op)
		if err != nil || got.Matched != step.want || got.Partial || len(got.Unreachable) > 0 {
			t.Errorf("%T %+v: %+v, %v, want %d", step.op, step.op, got, err, step.want)
		}
	}
	if _, err := f.Hub.Apply(t.Context(), sio.Update{Namespace: "/", ID: a}); !errors.Is(err, sio.ErrNotFound) {
		t.Errorf("Update of one that is gone: %v, want ErrNotFound", err)
	}
	c, err := f.Hub.Connection(t.Context(), "/", b)
	if err != nil || c.Data["k"] != "v" || c.UserID != "" {
		t.Errorf("after the Updates: %v, %v", c, err)
	}
}

func connection(t *testing.T, f Fixture) {
	id := f.Connect("/chat", "u", "z", "r")
	c, err := f.Hub.Connection(t.Context(), "/chat", id)
	if err != nil || c.ID != id || c.Namespace != "/chat" || c.UserID != "u" || c.Cursor != "" || c.ConnectedAt.IsZero() {
		t.Errorf("got %+v, %v", c, err)
	}
	want := []string{id, "r", "z"}
	slices.Sort(want)
	if !slices.Equal(c.Rooms, want) {
		t.Errorf("rooms %q, want %q", c.Rooms, want)
	}
	if f.node(c.Node) != "node" {
		t.Errorf("node %q, want the Hub's: node", c.Node)
	}
	for _, of := range []struct{ namespace, id string }{{"/", id}, {"/chat", "z"}} {
		if _, err := f.Hub.Connection(t.Context(), of.namespace, of.id); !errors.Is(err, sio.ErrNotFound) {
			t.Errorf("Connection(%v): %v, want ErrNotFound", of, err)
		}
	}
}

// list goes through the pages of a target and calls between after each.
func list(t *testing.T, h control.Hub, to sio.Target, limit int, between func()) (ids []string) {
	t.Helper()
	for cursor := ""; ; {
		page, err := h.Connections(t.Context(), to, cursor, limit)
		if err != nil {
			t.Fatalf("Connections: %v", err)
		}
		if len(page.Connections) > limit {
			t.Fatalf("a page of %d, want at most %d", len(page.Connections), limit)
		}
		for _, c := range page.Connections {
			ids = append(ids, c.ID)
		}
		if page.Next == "" {
			return ids
		}
		if page.Next == cursor {
			t.Fatal("a page continues with itself")
		}
		cursor = page.Next
		between()
	}
}

func pages(t *testing.T, f Fixture) {
	var all, some, users []string
	for i := range 150 { // more than the smallest group that is indexed
		var rooms []string
		user := ""
		if i%2 == 0 {
			rooms = append(rooms, "even")
		}
		if i%3 == 0 {
			rooms, user = append(rooms, "third"), "u"
		}
		id := f.Connect("/", user, rooms...)
		all = append(all, id)
		if i%2 == 0 || i%3 == 0 {
			some = append(some, id)
		}
		if i%3 == 0 && i%2 != 0 {
			users = append(users, id)
		}
	}
	for _, tt := range []struct {
		name string
		sel  room.Selector
		want []string
	}{
		{"all", room.Selector{All: true}, all},
		{"rooms that overlap", room.Selector{Rooms: []string{"even", "third"}, IDs: []string{all[0]}}, some},
		{"a user but for a room", room.Selector{Users: []string{"u"}, Except: []string{"even"}}, users},
		{"ids", room.Selector{IDs: []string{all[7], all[3], "none", all[7]}}, []string{all[3], all[7]}},
		{"nobody", room.Selector{}, nil},
		{"an empty room", room.Selector{Rooms: []string{"none"}}, nil},
	} {
		for _, limit := range []int{1, 7, 1000} {
			got := list(t, f.Hub, in("/", tt.sel), limit, func() {})
			slices.Sort(got)
			slices.Sort(tt.want)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s by %d: %d connections, want %d", tt.name, limit, len(got), len(tt.want))
			}
		}
	}
}

func churn(t *testing.T, f Fixture) {
	var stay, leave []string
	for range 50 {
		stay = append(stay, f.Connect("/", "", "r"))
		leave = append(leave, f.Connect("/", "", "r"))
	}
	got := list(t, f.Hub, in("/", room.Selector{Rooms: []string{"r"}}), 7, func() {
		if n := len(leave); n > 2 {
			out := in("/", room.Selector{IDs: leave[n-3:]})
			if _, err := f.Hub.Apply(t.Context(), sio.Disconnect{To: out}); err != nil {
				t.Fatal(err)
			}
			leave = leave[:n-3]
		}
		f.Connect("/", "", "other")
	})
	seen := map[string]int{}
	for _, id := range got {
		if seen[id]++; seen[id] == 2 {
			t.Errorf("%s is listed twice", id)
		}
	}
	for _, id := range stay {
		if seen[id] == 0 {
			t.Errorf("%s stayed and is not listed", id)
		}
	}
}

func cursors(t *testing.T, f Fixture) {
	for range 5 {
		f.Connect("/", "")
	}
	first, err := f.Hub.Connections(t.Context(), everybody("/"), "", 4)
	if err != nil || len(first.Connections) != 4 {
		t.Fatalf("a page of %d, %v", len(first.Connections), err)
	}
	again, err := f.Hub.Connections(t.Context(), everybody("/"), first.Connections[1].Cursor, 1)
	if err != nil || len(again.Connections) != 1 || again.Connections[0].ID != first.Connections[2].ID {
		t.Errorf("behind the second: %+v, %v, want the third", again.Connections, err)
	}
	for _, bad := range []string{"x", "x" + first.Next, first.Next + "!"} {
		if _, err := f.Hub.Connections(t.Context(), everybody("/"), bad, 1); !errors.Is(err, sio.ErrBadCursor) {
			t.Errorf("cursor %q: %v, want ErrBadCursor", bad, err)
		}
	}
}

func counts(t *testing.T, f Fixture) {
	a, b := f.Connect("/", "u", "r", "s"), f.Connect("/", "", "r")
	f.Connect("/chat", "u")
	r := in("/", room.Selector{Rooms: []string{"r"}})
	for _, tt := range []struct {
		name  string
		to    sio.Target
		by    sio.GroupBy
		total int
		want  map[string]int
	}{
		{"all", everybody("/"), sio.GroupNone, 2, map[string]int{"": 2}},
		{"nobody", in("/", room.Selector{}), sio.GroupNone, 0, map[string]int{}},
		{"a union", in("/", room.Selector{Rooms: []string{"r", "s"}, IDs: []string{a}, Users: []string{"u"}}), sio.GroupNone, 2, map[string]int{"": 2}},
		{"but for a room", in("/", room.Selector{All: true, Except: []string{"s"}}), sio.GroupNone, 1, map[string]int{"": 1}},
		{"by room", everybody("/"), sio.GroupRoom, 2, map[string]int{a: 1, b: 1, "r": 2, "s": 1}},
		{"a user by room", in("/", room.Selector{Users: []string{"u"}}), sio.GroupRoom, 1, map[string]int{a: 1, "r": 1, "s": 1}},
		{"by user", r, sio.GroupUser, 2, map[string]int{"u": 1, "": 1}},
		{"by node", r, sio.GroupNode, 2, map[string]int{"node": 2}},
		{"by transport", r, sio.GroupTransport, 2, map[string]int{"websocket": 2}},
		{"by namespace, one", r, sio.GroupNamespace, 2, map[string]int{"/": 2}},
		{"by namespace, every", everybody(""), sio.GroupNamespace, 3, map[string]int{"/": 2, "/chat": 1}},
	} {
		got, err := f.Hub.Count(t.Context(), tt.to, tt.by)
		if tt.by == sio.GroupNode {
			groups := map[string]int{}
			for name, n := range got.Groups {
				groups[f.node(name)] += n
			}
			got.Groups = groups
		}
		if err != nil || got.Total != tt.total || !maps.Equal(got.Groups, tt.want) || got.Partial || len(got.Unreachable) > 0 {
			t.Errorf("%s: %+v, %v, want %d, %v", tt.name, got, err, tt.total, tt.want)
		}
	}
}

func names(t *testing.T, f Fixture) {
	for i := range 5 {
		f.Connect("/chat", "", "room", fmt.Sprint("room", i))
	}
	var rooms []string
	for cursor, more := "", true; more; {
		page, err := f.Hub.Rooms(t.Context(), "/chat", sio.RoomFilter{Prefix: "room"}, cursor, 2)
		if err != nil || len(page.Names) > 2 {
			t.Fatalf("a page of %d rooms, %v", len(page.Names), err)
		}
		for _, n := range page.Names {
			rooms = append(rooms, fmt.Sprint(n.Name, "=", n.Connections))
		}
		cursor, more = page.Next, page.Next != ""
	}
	if got, want := strings.Join(rooms, " "), "room=5 room0=1 room1=1 room2=1 room3=1 room4=1"; got != want {
		t.Errorf("rooms %q, want %q", got, want)
	}
	for _, tt := range []struct {
		filter sio.RoomFilter
		want   int
	}{{sio.RoomFilter{}, 6}, {sio.RoomFilter{IDs: true}, 11}} {
		if page, err := f.Hub.Rooms(t.Context(), "/chat", tt.filter, "", 11); err != nil || len(page.Names) != tt.want || page.Next != "" {
			t.Errorf("%+v: %+v, %v, want %d rooms", tt.filter, page, err, tt.want)
		}
	}
	for i := range 5 {
		f.Connect("/", fmt.Sprint("user", i%3))
	}
	f.Connect("/", "other")
	var users []string
	for cursor, more := "", true; more; {
		page, err := f.Hub.Users(t.Context(), "/", "user", cursor, 2)
		if err != nil || len(page.Names) > 2 {
			t.Fatalf("a page of %d users, %v", len(page.Names), err)
		}
		for _, n := range page.Names {
			users = append(users, fmt.Sprint(n.Name, "=", n.Connections))
		}
		cursor, more = page.Next, page.Next != ""
	}
	if got, want := strings.Join(users, " "), "user0=2 user1=2 user2=1"; got != want {
		t.Errorf("users %q, want %q", got, want)
	}
	first, err := f.Hub.Namespaces(t.Context(), "", "", 1)
	if err != nil || len(first.Names) != 1 || first.Names[0].Name != "/" || first.Names[0].Connections != 6 || first.Next == "" {
		t.Errorf("the first namespace: %+v, %v", first, err)
	}
	rest, err := f.Hub.Namespaces(t.Context(), "", first.Next, 10)
	if err == nil && len(rest.Names) == 1 && len(f.Nodes) > 1 { // a room that all are in counts once on each node
		rest.Names[0].Rooms = min(rest.Names[0].Rooms, 11)
	}
	if err != nil || len(rest.Names) != 1 || rest.Names[0] != (sio.Named{Name: "/chat", Connections: 5, Rooms: 11}) || rest.Next != "" {
		t.Errorf("the other namespaces: %+v, %v", rest, err)
	}
}
