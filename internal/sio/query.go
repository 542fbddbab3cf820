package sio

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// How much is done before a namespace's lock is released, so that a query
// of many connections holds up no operation.
const (
	scanPiece = 1000 // connections looked at
	viewPiece = 100  // connections copied, with their rooms
)

// Connections returns up to limit connections of the target in the order in which
// they joined the namespace, beginning where the cursor of an earlier page says,
// and whether there are more. An empty cursor begins at the first. Of a target that
// spans namespaces they come by the names of these, and the last page may be empty.
//
// Paging is exact while connections come and go: none that is in the target all
// the while is missed or seen twice. One that changes from one part of the target to another,
// such as from one of its users to another, is not seen twice, and may be missed if that
// happens while one page looks at more than a thousand. What it costs grows with the limit and with
// the parts of the target, not with how many connections these have; connections
// in rooms to except are looked at too.
//
// Errors: [ErrUnknownNamespace], [ErrBadCursor], and the cause of ctx's end.
func (s *Server) Connections(ctx context.Context, to Target, cursor string, limit int) (ConnectionPage, error) {
	all, ok := s.namespaces.meant(to.Namespace)
	switch {
	case !ok:
		return ConnectionPage{}, ErrUnknownNamespace
	case Spans(to.Namespace):
		return s.connectionsSpanning(ctx, all, to, cursor, max(limit, 0))
	}
	after, ok := s.parseCursor(cursor)
	if !ok {
		return ConnectionPage{}, ErrBadCursor
	}
	return all[0].connections(ctx, to, after, max(limit, 0))
}

// connections returns those behind the one with the sequence number after.
func (n *Namespace) connections(ctx context.Context, to Target, after uint64, limit int) (ConnectionPage, error) {
	sel, err := n.selectorOf(ctx, to)
	if err != nil {
		return ConnectionPage{}, err
	}
	found, more, err := n.list(ctx, sel, after, limit)
	if err != nil {
		return ConnectionPage{}, err
	}
	page := ConnectionPage{Connections: n.views(found)}
	if more && len(found) > 0 {
		page.Next = n.server.cursor(found[len(found)-1])
	}
	return page, nil
}

// list returns the first members with sequence numbers above after, in their
// order, and whether there are more than limit.
func (n *Namespace) list(ctx context.Context, sel room.Selector, after uint64, limit int) (found []*room.Entry[*Socket], more bool, err error) {
	bySeq := func(a, b *room.Entry[*Socket]) int { return cmp.Compare(a.Seq(), b.Seq()) }
	scan := room.NewScan[*Socket](sel, after, limit+1)
	for rest := true; rest; {
		if rest, err = n.next(ctx, scan, scanPiece, func(e *room.Entry[*Socket]) { found = append(found, e) }); err != nil {
			return nil, false, err
		}
		// Several parts give more than are wanted, and some twice.
		if len(found) > 2*(limit+1) || !rest {
			slices.SortFunc(found, bySeq)
			found = slices.CompactFunc(found, func(a, b *room.Entry[*Socket]) bool { return a == b })
			found = found[:min(len(found), limit+1)]
		}
	}
	if more = len(found) > limit; more {
		found = found[:limit]
	}
	return found, more, nil
}

// next does one piece of a scan under the lock.
func (n *Namespace) next(ctx context.Context, scan *room.Scan[*Socket], piece int, yield func(*room.Entry[*Socket])) (more bool, err error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members.Next(scan, piece, yield), nil
}

// views copies what is known about those of the members that are still there.
func (n *Namespace) views(members []*room.Entry[*Socket]) []Connection {
	views := make([]Connection, 0, len(members))
	sockets := make([]*Socket, 0, len(members))
	for piece := range slices.Chunk(members, viewPiece) {
		n.mu.Lock()
		for _, e := range piece {
			if s := e.Value; !s.gone.Load() {
				views, sockets = append(views, s.viewLocked()), append(sockets, s)
			}
		}
		n.mu.Unlock()
	}
	for i, s := range sockets {
		s.completeView(&views[i])
		views[i].Handshake = s.Handshake()
		views[i].Cursor = n.server.cursor(s.entry)
	}
	return views
}

// cursor continues a listing behind e. It means nothing to another run of the
// server, whose sequence numbers are others.
func (s *Server) cursor(e *room.Entry[*Socket]) string {
	return s.run + "." + strconv.FormatUint(e.Seq(), 36)
}

// parseCursor is the inverse of cursor; an empty one is the beginning.
func (s *Server) parseCursor(cursor string) (after uint64, ok bool) {
	if cursor == "" {
		return 0, true
	}
	digits, ok := strings.CutPrefix(cursor, s.run+".")
	if !ok {
		return 0, false
	}
	after, err := strconv.ParseUint(digits, 36, 64)
	return after, err == nil
}

// Connection returns one connection. Errors: [ErrUnknownNamespace], [ErrNotFound].
func (s *Server) Connection(_ context.Context, namespace, id string) (Connection, error) {
	n := s.namespaces.find(namespace)
	if n == nil {
		return Connection{}, ErrUnknownNamespace
	}
	n.mu.Lock()
	e := n.members.Lookup(id)
	if e == nil {
		n.mu.Unlock()
		return Connection{}, ErrNotFound
	}
	c := e.Value.viewLocked()
	n.mu.Unlock()
	e.Value.completeView(&c)
	c.Handshake = e.Value.Handshake()
	return c, nil
}

// HasNamespace reports whether there can be connections in a namespace of this
// name: it is configured, or matches a pattern that is. Of a pattern it reports
// whether it can match the name of such a namespace.
func (s *Server) HasNamespace(_ context.Context, name string) (bool, error) {
	if strings.Contains(name, "*") {
		return s.namespaces.overlaps(name), nil
	}
	return s.namespaces.find(name) != nil, nil
}

// Rooms returns up to limit rooms that the filter lets through, ordered by name,
// beginning behind the cursor, which is a name. A room that stays is listed once.
// Errors: [ErrUnknownNamespace], and the cause of ctx's end.
func (s *Server) Rooms(ctx context.Context, namespace string, filter RoomFilter, cursor string, limit int) (NamePage, error) {
	n := s.namespaces.find(namespace)
	if n == nil {
		return NamePage{}, ErrUnknownNamespace
	}
	var page NamePage
	for more := true; more; {
		if ctx.Err() != nil {
			return NamePage{}, context.Cause(ctx)
		}
		var rooms []room.Count
		rooms, more = n.rooms(filter.Prefix, cursor, scanPiece)
		for _, r := range rooms {
			if cursor = r.Name; r.ID && !filter.IDs {
				continue
			}
			if len(page.Names) == limit {
				page.next(true)
				return page, nil
			}
			page.Names = append(page.Names, Named{Name: r.Name, Connections: r.Members})
		}
	}
	return page, nil
}

func (n *Namespace) rooms(prefix, after string, limit int) (page []room.Count, more bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members.Rooms(prefix, after, limit)
}

// Users does for the users of a namespace what Rooms does for rooms.
func (s *Server) Users(_ context.Context, namespace, prefix, cursor string, limit int) (NamePage, error) {
	n := s.namespaces.find(namespace)
	if n == nil {
		return NamePage{}, ErrUnknownNamespace
	}
	n.mu.Lock()
	users, more := n.members.Users(prefix, cursor, limit)
	n.mu.Unlock()
	var page NamePage
	for _, u := range users {
		page.Names = append(page.Names, Named{Name: u.Name, Connections: u.Members})
	}
	page.next(more)
	return page, nil
}

// Namespaces does for namespaces what Rooms does for rooms.
func (s *Server) Namespaces(_ context.Context, prefix, cursor string, limit int) (NamePage, error) {
	var page NamePage
	found, more := s.namespaces.page(prefix, cursor, limit)
	for _, n := range found {
		n.mu.Lock()
		page.Names = append(page.Names, Named{Name: n.name, Connections: n.members.Len(), Rooms: n.members.RoomCount()})
		n.mu.Unlock()
	}
	page.next(more)
	return page, nil
}
