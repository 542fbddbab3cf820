package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// picture is what the reader of a watch knows, as the contract says that it should keep it.
type picture struct {
	mu          sync.Mutex
	nodes       map[string]map[string]*fanoutv1.Connection // by namespace and id
	rooms       map[string]bool                            // by namespace and name
	users       map[string]bool
	synced      bool
	resyncs     int
	unreachable []string
	doubtful    map[string]bool // nodes that were unreachable and have not told all since
	mistakes    []string        // what makes no sense by what was told before
	err         error           // of the stream
	over        chan struct{}   // closed when that has ended
}

// see reads a stream into a picture until it ends. hold is called before each message.
func see(s grpc.ServerStreamingClient[fanoutv1.WatchResponse], hold func()) *picture {
	p := &picture{nodes: map[string]map[string]*fanoutv1.Connection{}, rooms: map[string]bool{}, users: map[string]bool{}, doubtful: map[string]bool{}, over: make(chan struct{})}
	go func() {
		defer close(p.over)
		for {
			hold()
			m, err := s.Recv()
			p.mu.Lock()
			if p.err = err; err == nil {
				p.take(m)
			}
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *picture) take(m *fanoutv1.WatchResponse) {
	defer p.takeUnreachable(m.GetUnreachable())
	for _, c := range m.GetChanges() {
		part := p.nodes[c.GetNode()]
		if part == nil {
			part = map[string]*fanoutv1.Connection{}
			p.nodes[c.GetNode()] = part
		}
		known := func(namespace, id string, want bool) string {
			key := namespace + " " + id
			if part[key] != nil != want {
				p.mistakes = append(p.mistakes, fmt.Sprintf("%v of one that is known: %v", c, !want))
			}
			if part[key] == nil {
				part[key] = &fanoutv1.Connection{}
			}
			return key
		}
		set := func(of map[string]bool, key string, there bool) {
			if of[key] == there {
				p.mistakes = append(p.mistakes, fmt.Sprint(c, " once more"))
			}
			if delete(of, key); there {
				of[key] = true
			}
		}
		switch c := c.GetChange().(type) {
		case *fanoutv1.WatchResponse_Change_Added:
			m := c.Added.GetConnection()
			part[known(m.GetNamespace(), m.GetId(), false)] = m
		case *fanoutv1.WatchResponse_Change_Removed:
			delete(part, known(c.Removed.GetNamespace(), c.Removed.GetId(), true))
		case *fanoutv1.WatchResponse_Change_Updated:
			m := c.Updated.GetConnection()
			part[known(m.GetNamespace(), m.GetId(), true)] = m
		case *fanoutv1.WatchResponse_Change_Joined:
			m := part[known(c.Joined.GetNamespace(), c.Joined.GetId(), true)]
			m.Rooms = append(m.GetRooms(), c.Joined.GetRooms()...)
		case *fanoutv1.WatchResponse_Change_Left:
			m := part[known(c.Left.GetNamespace(), c.Left.GetId(), true)]
			m.Rooms = slices.DeleteFunc(m.GetRooms(), func(name string) bool { return slices.Contains(c.Left.GetRooms(), name) })
		case *fanoutv1.WatchResponse_Change_RoomCreated:
			set(p.rooms, c.RoomCreated.GetNamespace()+" "+c.RoomCreated.GetRoom(), true)
		case *fanoutv1.WatchResponse_Change_RoomDeleted:
			set(p.rooms, c.RoomDeleted.GetNamespace()+" "+c.RoomDeleted.GetRoom(), false)
		case *fanoutv1.WatchResponse_Change_UserOnline:
			set(p.users, c.UserOnline.GetNamespace()+" "+c.UserOnline.GetUserId(), true)
		case *fanoutv1.WatchResponse_Change_UserOffline:
			set(p.users, c.UserOffline.GetNamespace()+" "+c.UserOffline.GetUserId(), false)
		case *fanoutv1.WatchResponse_Change_Synced:
			p.synced = p.synced || c.Synced.GetNode() == ""
			delete(p.doubtful, c.Synced.GetNode())
		case *fanoutv1.WatchResponse_Change_Resync:
			delete(p.nodes, c.Resync.GetNode())
			p.resyncs++
		}
	}
}

// takeUnreachable takes which nodes are unreachable after the changes of a message.
func (p *picture) takeUnreachable(now []string) {
	for _, node := range p.unreachable {
		if p.doubtful[node] && !slices.Contains(now, node) {
			p.mistakes = append(p.mistakes, node+" is not unreachable any more, and has not told all")
		}
	}
	for _, node := range now {
		if !slices.Contains(p.unreachable, node) {
			p.doubtful[node] = true
		}
	}
	p.unreachable = now
}

// shown is a connection as it is compared: without what changes by itself.
func shown(c *fanoutv1.Connection) string {
	c = proto.CloneOf(c)
	slices.Sort(c.Rooms)
	c.QueuedBytes, c.VolatileDropped = 0, 0
	text, _ := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	return string(text)
}

// compare reports how a picture differs from what listings say.
func (p *picture) compare(t *testing.T, what string, registry fanoutv1.RegistryServiceClient, r *fanoutv1.WatchRequest) {
	t.Helper()
	list, err := registry.ListConnections(context.Background(), &fanoutv1.ListConnectionsRequest{To: r.GetTo(), PageSize: 1000})
	if err != nil || len(list.GetUnreachable()) > 0 || list.GetNextPageToken() != "" {
		t.Fatalf("%s: ListConnections: %v unreachable, %v", what, list.GetUnreachable(), err)
	}
	connections, rooms, users := map[string]string{}, map[string]bool{}, map[string]bool{}
	kinds := r.GetKinds()
	for _, c := range list.GetConnections() {
		if len(kinds) == 0 || slices.Contains(kinds, fanoutv1.WatchRequest_CONNECTIONS) {
			connections[c.GetNode()+c.GetNamespace()+" "+c.GetId()] = shown(c)
		}
		if c.GetUserId() != "" && slices.Contains(kinds, fanoutv1.WatchRequest_USERS) {
			users[c.GetNamespace()+" "+c.GetUserId()] = true
		}
		for _, name := range c.GetRooms() {
			if name != c.GetId() && slices.Contains(kinds, fanoutv1.WatchRequest_ROOMS) {
				rooms[c.GetNamespace()+" "+name] = true
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	got := map[string]string{}
	for node, part := range p.nodes {
		for key, c := range part {
			got[node+key] = shown(c)
		}
	}
	if !maps.Equal(got, connections) {
		t.Errorf("%s: connections\n%q, want\n%q", what, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(connections)))
		for key, text := range got {
			if want, ok := connections[key]; ok && text != want {
				t.Errorf("%q\n%q, want\n%q", key, text, want)
			}
		}
	}
	if !maps.Equal(p.rooms, rooms) {
		t.Errorf("%s: rooms %q, want %q", what, slices.Sorted(maps.Keys(p.rooms)), slices.Sorted(maps.Keys(rooms)))
	}
	if !maps.Equal(p.users, users) {
		t.Errorf("%s: users %q, want %q", what, slices.Sorted(maps.Keys(p.users)), slices.Sorted(maps.Keys(users)))
	}
	if !p.synced || len(p.unreachable) > 0 || len(p.mistakes) > 0 || p.err != nil {
		t.Errorf("%s: synced %v, unreachable %q, mistakes %.1000q, %v", what, p.synced, p.unreachable, p.mistakes, p.err)
	}
	p.mistakes = nil
}
