package control

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// A key with rooms is shown these, and one with namespaces these, on pages that are full
// but for the last, whatever lies between.
func TestListingsShowWhatTheKeyMaySee(t *testing.T) {
	var served []string
	for i := range 2500 {
		served = append(served, fmt.Sprintf("/n%04d", i))
	}
	hub := newMemHub(append(served, "/", "/shop", "/tenant-1", "/tenant-1/x", "/tenant-2")...)
	for i := range 2500 {
		hub.connect("/", fmt.Sprintf("order:i%d", i), "", fmt.Sprintf("order:%04d", i), fmt.Sprintf("other:%04d", i), "staff")
	}
	hub.connect("/", "a", "", "a:first", "order:0/x", "zz")
	s, conn := dial(t, hub, Options{})
	client := fanoutv1.NewRegistryServiceClient(conn)
	rooms := func(prefix string, size int32, token string) (names []string, next string, err error) {
		r, err := client.ListRooms(t.Context(), &fanoutv1.ListRoomsRequest{Prefix: prefix, PageSize: size, PageToken: token})
		for _, room := range r.GetRooms() {
			names = append(names, room.GetName())
		}
		return names, r.GetNextPageToken(), err
	}
	namespaces := func(prefix string, size int32, token string) (names []string, next string, err error) {
		r, err := client.ListNamespaces(t.Context(), &fanoutv1.ListNamespacesRequest{Prefix: prefix, PageSize: size, PageToken: token})
		for _, n := range r.GetNamespaces() {
			names = append(names, n.GetName())
		}
		return names, r.GetNextPageToken(), err
	}
	type lister = func(prefix string, size int32, token string) ([]string, string, error)
	pages := func(list lister, prefix string, size int32) (all [][]string) {
		t.Helper()
		for token := ""; ; {
			names, next, err := list(prefix, size, token)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, names)
			if token = next; token == "" {
				return all
			}
		}
	}
	for _, tt := range []struct {
		name   string
		rights identity.Rights
		list   lister
		prefix string
		size   int32
		want   [][]string
	}{
		{"rooms of several patterns, a name among them", identity.Rights{Rooms: []string{"zz", "order:*99", "a*", "nobody"}}, rooms, "", 10, [][]string{
			{
				"a:first", "order:0099", "order:0199", "order:0299", "order:0399", "order:0499", "order:0599", "order:0699", "order:0799", "order:0899",
			},
			{
				"order:0999", "order:1099", "order:1199", "order:1299", "order:1399", "order:1499", "order:1599", "order:1699", "order:1799", "order:1899",
			},
			{"order:1999", "order:2099", "order:2199", "order:2299", "order:2399", "order:2499", "zz"},
		}},
		{"rooms by the end of their names", identity.Rights{Rooms: []string{"*:2499", "*z"}}, rooms, "", 2, [][]string{{"order:2499", "other:2499"}, {"zz"}}},
		{"rooms with a prefix", identity.Rights{Rooms: []string{"order:*99", "order:24*"}}, rooms, "order:249", 100, [][]string{{
			"order:2490", "order:2491", "order:2492", "order:2493", "order:2494", "order:2495", "order:2496", "order:2497", "order:2498", "order:2499",
		}}},
		{"rooms with a prefix of others", identity.Rights{Rooms: []string{"order:*"}}, rooms, "other", 100, [][]string{nil}},
		{"a full page that is the last", identity.Rights{Rooms: []string{"a:*", "zz"}}, rooms, "", 2, [][]string{{"a:first", "zz"}}},
		{"no room that there is", identity.Rights{Rooms: []string{"nobody"}}, rooms, "", 2, [][]string{nil}},
		{"namespaces", identity.Rights{Namespaces: []string{"/tenant-*", "shop", "/n2*9", "/nowhere"}}, namespaces, "", 51, [][]string{
			append(numbered("/n2%02d9", 50), "/shop"), {"/tenant-1", "/tenant-2"},
		}},
		{"namespaces with a prefix", identity.Rights{Namespaces: []string{"/tenant-*"}}, namespaces, "/tenant-2", 100, [][]string{{"/tenant-2"}}},
		{"namespaces with a prefix of others", identity.Rights{Namespaces: []string{"/tenant-*"}}, namespaces, "/n", 100, [][]string{nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.caller = callerWith(t, tt.rights)
			got := pages(tt.list, tt.prefix, tt.size)
			if !slices.EqualFunc(got, tt.want, slices.Equal) {
				t.Errorf("got the pages %q, want %q", got, tt.want)
			}
		})
	}
	s.caller = callerWith(t, identity.Rights{Rooms: []string{"order:*"}})
	if _, _, err := namespaces("", 1, ""); status.Code(err) != codes.PermissionDenied {
		t.Errorf("namespaces for a key with rooms: got %v, want PERMISSION_DENIED", err)
	}
}

func numbered(format string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}

// Of the rooms of those whom a key with rooms may name, it is told its own.
func TestCountByRoomShowsWhatTheKeyMaySee(t *testing.T) {
	hub := newMemHub()
	hub.connect("/", "a", "", "order:1", "order:2", "staff")
	hub.connect("/", "b", "", "order:1", "boss")
	s, conn := dial(t, hub, Options{})
	s.caller = callerWith(t, identity.Rights{Rooms: []string{"order:*"}})
	got, err := fanoutv1.NewRegistryServiceClient(conn).CountConnections(t.Context(), &fanoutv1.CountConnectionsRequest{
		To: toRoom("order:1"), GroupBy: fanoutv1.CountConnectionsRequest_ROOM,
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := got.GetCounts(); got.GetTotal() != 2 || len(c) != 2 || c["order:1"] != 2 || c["order:2"] != 1 {
		t.Errorf("got %v, want 2 in all, 2 in order:1 and 1 in order:2", got)
	}
}
