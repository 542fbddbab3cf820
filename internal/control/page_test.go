package control

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// listAll pages through a listing and calls between after each page.
func listAll(t *testing.T, c fanoutv1.RegistryServiceClient, to *fanoutv1.Target, size int32, between func(page int)) (ids []string, pages int) {
	t.Helper()
	token := ""
	for {
		resp, err := c.ListConnections(t.Context(), &fanoutv1.ListConnectionsRequest{To: to, PageSize: size, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(resp.GetConnections()); n > int(size) && size > 0 {
			t.Fatalf("a page has %d connections, want at most %d", n, size)
		}
		for _, m := range resp.GetConnections() {
			ids = append(ids, m.GetId())
		}
		pages++
		if token = resp.GetNextPageToken(); token == "" {
			return ids, pages
		}
		between(pages)
	}
}

func TestListConnectionsUnderChurn(t *testing.T) {
	hub := newMemHub()
	var stay []string
	for i := range 100 {
		id := fmt.Sprintf("stay%d", i)
		stay = append(stay, id)
		hub.connect("/", id, "", "r")
		hub.connect("/", fmt.Sprintf("go%d", i), "", "r")
	}
	gone := 99
	ids, pages := listAll(t, dialRegistry(t, hub), toRoom("r"), 7, func(page int) {
		for range 3 {
			if gone >= 0 {
				hub.disconnect("/", fmt.Sprintf("go%d", gone))
				gone--
			}
		}
		if page < 10 {
			hub.connect("/", fmt.Sprintf("new%d", page), "", "r")
		}
	})
	var stayed []string
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			t.Errorf("%s is listed twice", id)
		}
		if seen[id] = true; strings.HasPrefix(id, "stay") {
			stayed = append(stayed, id)
		}
	}
	if !slices.Equal(stayed, stay) {
		t.Errorf("those that stayed are listed as %q", stayed)
	}
	if pages < 15 {
		t.Errorf("%d pages, want many", pages)
	}
}

func TestListConnectionsPages(t *testing.T) {
	hub := newMemHub()
	for i := range 250 {
		hub.connect("/", fmt.Sprint(i), "")
	}
	c := dialRegistry(t, hub)
	for size, want := range map[int32]int{0: 3, 1: 250, 125: 2, 249: 2, 250: 1, 1000: 1} {
		ids, pages := listAll(t, c, toAll(), size, func(int) {})
		if len(ids) != 250 || pages != want {
			t.Errorf("page size %d: %d connections on %d pages, want 250 on %d", size, len(ids), pages, want)
		}
	}
	if ids, pages := listAll(t, c, toRoom("none"), 10, func(int) {}); len(ids) != 0 || pages != 1 {
		t.Errorf("nobody: %d connections on %d pages", len(ids), pages)
	}

	// Much data makes shorter pages, which a client's limit of 4 MiB takes.
	hub.spoil = func(c *sio.Connection) { c.Data = map[string]any{"d": strings.Repeat("x", 100<<10)} }
	if ids, pages := listAll(t, c, toAll(), 1000, func(int) {}); len(ids) != 250 || pages < 10 {
		t.Errorf("%d connections on %d pages, want 250 on more than 10", len(ids), pages)
	}
	hub.spoil = func(c *sio.Connection) { c.Data = map[string]any{"d": strings.Repeat("x", 3<<20)} }
	resp, err := c.ListConnections(t.Context(), &fanoutv1.ListConnectionsRequest{To: toAll()})
	if err != nil || len(resp.GetConnections()) != 1 || resp.GetNextPageToken() == "" {
		t.Errorf("%d connections, %v, want a page of one and another", len(resp.GetConnections()), err)
	}
}

func TestPageTokensAreBound(t *testing.T) {
	hub := newMemHub("/chat")
	for i := range 3 {
		hub.connect("/", fmt.Sprint(i), "u", "r", "s")
		hub.connect("/chat", fmt.Sprint(i), "u", "r", "s")
	}
	c := dialRegistry(t, hub)
	resp, err := c.ListConnections(t.Context(), &fanoutv1.ListConnectionsRequest{To: toRoom("r"), PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	token := resp.GetNextPageToken()
	if _, err := c.ListConnections(t.Context(), &fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{Namespace: "/", Rooms: []string{"r"}}, PageSize: 2, PageToken: token}); err != nil {
		t.Errorf("the same target with another page size: %v", err)
	}
	roomPage, err := c.ListRooms(t.Context(), &fanoutv1.ListRoomsRequest{PageSize: 1, IncludeIds: true})
	if err != nil {
		t.Fatal(err)
	}
	others := map[string]*fanoutv1.ListConnectionsRequest{
		"another room":      {To: toRoom("s"), PageToken: token},
		"another part":      {To: &fanoutv1.Target{Ids: []string{"r"}}, PageToken: token},
		"all":               {To: toAll(), PageToken: token},
		"an exception":      {To: &fanoutv1.Target{Rooms: []string{"r"}, Except: []string{"s"}}, PageToken: token},
		"another namespace": {To: &fanoutv1.Target{Namespace: "/chat", Rooms: []string{"r"}}, PageToken: token},
		"more bytes":        {To: toRoom("r"), PageToken: token + "AAAA"},
		"another listing":   {To: toRoom("r"), PageToken: roomPage.GetNextPageToken()},
	}
	for name, req := range others {
		t.Run(name, func(t *testing.T) {
			_, err := c.ListConnections(t.Context(), req)
			if got := fields(t, err); !slices.Equal(got, []string{"page_token"}) {
				t.Errorf("got %q", got)
			}
		})
	}
	t.Run("another run of the daemon", func(t *testing.T) {
		hub.run = "another"
		_, err := c.ListConnections(t.Context(), &fanoutv1.ListConnectionsRequest{To: toRoom("r"), PageToken: token})
		if got := fields(t, err); !slices.Equal(got, []string{"page_token"}) {
			t.Errorf("got %q", got)
		}
	})
	for name, req := range map[string]*fanoutv1.ListRoomsRequest{
		"rooms of another prefix": {Prefix: "x", IncludeIds: true},
		"rooms without ids":       {},
	} {
		t.Run(name, func(t *testing.T) {
			req.PageToken = roomPage.GetNextPageToken()
			_, err := c.ListRooms(t.Context(), req)
			if got := fields(t, err); !slices.Equal(got, []string{"page_token"}) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestListNames(t *testing.T) {
	hub := newMemHub("/admin", "/chat", "/chat2")
	for i := range 5 {
		hub.connect("/chat", fmt.Sprint("id", i), "", "room", fmt.Sprint("room", i))
	}
	c := dialRegistry(t, hub)

	var rooms []string
	for req := (&fanoutv1.ListRoomsRequest{Namespace: "chat", Prefix: "room", PageSize: 4}); ; {
		resp, err := c.ListRooms(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range resp.GetRooms() {
			rooms = append(rooms, fmt.Sprint(r.GetName(), "=", r.GetConnections()))
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if want := []string{"room=5", "room0=1", "room1=1", "room2=1", "room3=1", "room4=1"}; !slices.Equal(rooms, want) {
		t.Errorf("rooms: got %q, want %q", rooms, want)
	}

	var namespaces []string
	for req := (&fanoutv1.ListNamespacesRequest{PageSize: 3}); ; {
		resp, err := c.ListNamespaces(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range resp.GetNamespaces() {
			namespaces = append(namespaces, fmt.Sprintf("%s=%d,%d", n.GetName(), n.GetConnections(), n.GetRooms()))
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if want := []string{"/=0,0", "/admin=0,0", "/chat=5,11", "/chat2=0,0"}; !slices.Equal(namespaces, want) {
		t.Errorf("namespaces: got %q, want %q", namespaces, want)
	}
}
