package control

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strconv"

	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// maxGroups bounds the answer of CountConnections; the contract states it.
const maxGroups = 100_000

// Registry is the RegistryService.
type Registry struct {
	fanoutv1.UnimplementedRegistryServiceServer

	hub     Hub
	keys    Keys
	blocks  Blocks // nil: nobody can be blocked
	log     *slog.Logger
	watches chan struct{}   // one for each Watch
	ending  <-chan struct{} // closed when they are to end
}

// newRegistry returns the RegistryService over hub. Who ends or blocks somebody is told to
// log. Watches end when ending is closed.
func newRegistry(hub Hub, keys Keys, blocks Blocks, log *slog.Logger, ending <-chan struct{}) *Registry {
	return &Registry{hub: hub, keys: keys, blocks: blocks, log: log, watches: make(chan struct{}, maxWatches), ending: ending}
}

var _ fanoutv1.RegistryServiceServer = (*Registry)(nil)

func (r *Registry) ListConnections(ctx context.Context, req *fanoutv1.ListConnectionsRequest) (*fanoutv1.ListConnectionsResponse, error) {
	p := problemsOf(ctx, "")
	to := toTarget(&p, req.GetTo())
	p.needEveryRoom("") // each connection is shown with all its rooms
	view := toView(&p, req.GetView())
	size := toPageSize(&p, req.GetPageSize())
	list := newTargetListing(to)
	cursor := list.toCursor(&p, req.GetPageToken())
	if p.any() {
		checkNamespace(ctx, r.hub, &p, to.Namespace, "to.namespace")
		return nil, p.err()
	}
	page, err := r.hub.Connections(ctx, to, cursor, size)
	if errors.Is(err, sio.ErrBadCursor) {
		badToken(&p)
		return nil, p.err()
	}
	if err != nil {
		return nil, hubError(err, &p, "to.namespace")
	}
	resp := &fanoutv1.ListConnectionsResponse{NextPageToken: list.token(page.Next), Unreachable: page.Unreachable}
	bytes := 0
	for i := range page.Connections {
		c, err := fromConnection(&page.Connections[i], dataAsStruct, view == dispatch.ViewFull)
		if err != nil {
			return nil, hubError(err, &p, "")
		}
		if bytes += proto.Size(c); bytes > maxPageBytes && i > 0 {
			resp.NextPageToken = list.token(page.Connections[i-1].Cursor)
			break
		}
		resp.Connections = append(resp.Connections, c)
	}
	return resp, nil
}

func (r *Registry) GetConnection(ctx context.Context, req *fanoutv1.GetConnectionRequest) (*fanoutv1.GetConnectionResponse, error) {
	p := problemsOf(ctx, "")
	namespace := namespaceName(req.GetNamespace())
	p.needConnection(namespace)
	if req.GetId() == "" {
		p.add("id", "must not be empty")
	}
	view := toView(&p, req.GetView())
	if p.any() {
		checkNamespace(ctx, r.hub, &p, namespace, "namespace")
		return nil, p.err()
	}
	c, err := r.connection(ctx, &p, namespace, req.GetId(), view != dispatch.ViewBasic)
	if err != nil {
		return nil, err
	}
	return &fanoutv1.GetConnectionResponse{Connection: c}, nil
}

// connection is one connection, with its handshake if that is asked for.
func (r *Registry) connection(ctx context.Context, p *problems, namespace, id string, handshake bool) (*fanoutv1.Connection, error) {
	c, err := r.hub.Connection(ctx, namespace, id)
	if errors.Is(err, sio.ErrNotFound) {
		return nil, errNoConnection(namespace, id)
	}
	if err != nil {
		return nil, hubError(err, p, "namespace")
	}
	m, err := fromConnection(&c, dataAsStruct, handshake)
	if err != nil {
		return nil, hubError(err, p, "")
	}
	return m, nil
}

func (r *Registry) CountConnections(ctx context.Context, req *fanoutv1.CountConnectionsRequest) (*fanoutv1.CountConnectionsResponse, error) {
	p := problemsOf(ctx, "")
	to := toTarget(&p, req.GetTo())
	by := sio.GroupNone
	switch req.GetGroupBy() {
	case fanoutv1.CountConnectionsRequest_NONE:
	case fanoutv1.CountConnectionsRequest_NODE:
		by = sio.GroupNode
	case fanoutv1.CountConnectionsRequest_ROOM:
		by = sio.GroupRoom
	case fanoutv1.CountConnectionsRequest_TRANSPORT:
		by = sio.GroupTransport
	case fanoutv1.CountConnectionsRequest_USER:
		by = sio.GroupUser
	case fanoutv1.CountConnectionsRequest_NAMESPACE:
		by = sio.GroupNamespace
		if req.GetTo().GetNamespace() == "" {
			to.Namespace = "" // every namespace
			if _, some := p.caller.Namespaces(); some {
				p.deny("to.namespace")
			}
		}
	default:
		p.add("group_by", "%d is no value of this field", req.GetGroupBy())
	}
	if p.any() {
		if to.Namespace != "" {
			checkNamespace(ctx, r.hub, &p, to.Namespace, "to.namespace")
		}
		return nil, p.err()
	}
	counted, err := r.hub.Count(ctx, to, by)
	if err != nil {
		return nil, hubError(err, &p, "to.namespace")
	}
	if by == sio.GroupRoom && !p.caller.EveryRoom() {
		maps.DeleteFunc(counted.Groups, func(room string, _ int) bool { return !p.caller.Room(room) })
	}
	if len(counted.Groups) > maxGroups {
		return nil, errTooManyGroups()
	}
	resp := &fanoutv1.CountConnectionsResponse{Total: count(counted.Total), Unreachable: counted.Unreachable}
	if by != sio.GroupNone {
		delete(counted.Groups, "") // those of no user
		resp.Counts = counts(counted.Groups)
	}
	return resp, nil
}

// counts leaves out groups without connections.
func counts(groups map[string]int) map[string]uint32 {
	m := make(map[string]uint32, len(groups))
	for name, n := range groups {
		if n > 0 {
			m[name] = count(n)
		}
	}
	return m
}

func (r *Registry) ListRooms(ctx context.Context, req *fanoutv1.ListRoomsRequest) (*fanoutv1.ListRoomsResponse, error) {
	p := problemsOf(ctx, "")
	namespace := namespaceName(req.GetNamespace())
	p.needNamespace("namespace", namespace)
	size := toPageSize(&p, req.GetPageSize())
	filter := sio.RoomFilter{Prefix: req.GetPrefix(), IDs: req.GetIncludeIds()}
	list := newListing("rooms", namespace, filter.Prefix, strconv.FormatBool(filter.IDs))
	cursor := list.toCursor(&p, req.GetPageToken())
	if p.any() {
		checkNamespace(ctx, r.hub, &p, namespace, "namespace")
		return nil, p.err()
	}
	rooms := func(ctx context.Context, prefix, cursor string, limit int) (sio.NamePage, error) {
		return r.hub.Rooms(ctx, namespace, sio.RoomFilter{Prefix: prefix, IDs: filter.IDs}, cursor, limit)
	}
	if own, some := p.caller.Rooms(); some {
		rooms = visible(rooms, own, p.caller.Room)
	}
	page, err := rooms(ctx, filter.Prefix, cursor, size)
	if err != nil {
		return nil, hubError(err, &p, "namespace")
	}
	resp := &fanoutv1.ListRoomsResponse{
		Rooms: make([]*fanoutv1.ListRoomsResponse_Room, len(page.Names)), NextPageToken: list.token(page.Next), Unreachable: page.Unreachable,
	}
	for i, n := range page.Names {
		resp.Rooms[i] = &fanoutv1.ListRoomsResponse_Room{Name: n.Name, Connections: count(n.Connections)}
	}
	return resp, nil
}

func (r *Registry) ListUsers(ctx context.Context, req *fanoutv1.ListUsersRequest) (*fanoutv1.ListUsersResponse, error) {
	p := problemsOf(ctx, "")
	namespace, prefix := namespaceName(req.GetNamespace()), req.GetPrefix()
	p.needNamespace("namespace", namespace)
	p.needEveryRoom("") // users may be in any
	size := toPageSize(&p, req.GetPageSize())
	list := newListing("users", namespace, prefix)
	cursor := list.toCursor(&p, req.GetPageToken())
	if p.any() {
		checkNamespace(ctx, r.hub, &p, namespace, "namespace")
		return nil, p.err()
	}
	page, err := r.hub.Users(ctx, namespace, prefix, cursor, size)
	if err != nil {
		return nil, hubError(err, &p, "namespace")
	}
	resp := &fanoutv1.ListUsersResponse{
		Users: make([]*fanoutv1.ListUsersResponse_User, len(page.Names)), NextPageToken: list.token(page.Next), Unreachable: page.Unreachable,
	}
	for i, n := range page.Names {
		resp.Users[i] = &fanoutv1.ListUsersResponse_User{UserId: n.Name, Connections: count(n.Connections)}
	}
	return resp, nil
}

func (r *Registry) ListNamespaces(ctx context.Context, req *fanoutv1.ListNamespacesRequest) (*fanoutv1.ListNamespacesResponse, error) {
	p := problemsOf(ctx, "")
	p.needEveryRoom("") // each is shown with how many are in it
	size := toPageSize(&p, req.GetPageSize())
	list := newListing("namespaces", req.GetPrefix())
	cursor := list.toCursor(&p, req.GetPageToken())
	if p.any() {
		return nil, p.err()
	}
	namespaces := r.hub.Namespaces
	if own, some := p.caller.Namespaces(); some {
		namespaces = visible(namespaces, own, p.caller.Namespace)
	}
	page, err := namespaces(ctx, req.GetPrefix(), cursor, size)
	if err != nil {
		return nil, hubError(err, &p, "prefix")
	}
	resp := &fanoutv1.ListNamespacesResponse{
		Namespaces: make([]*fanoutv1.ListNamespacesResponse_Namespace, len(page.Names)), NextPageToken: list.token(page.Next), Unreachable: page.Unreachable,
	}
	for i, n := range page.Names {
		resp.Namespaces[i] = &fanoutv1.ListNamespacesResponse_Namespace{
			Name: n.Name, Connections: count(n.Connections), Rooms: count(n.Rooms),
		}
	}
	return resp, nil
}
