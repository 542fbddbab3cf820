package sio

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// Connections returns up to limit connections of the target in the order of
// their Seq, beginning after the given one, and whether there are more. Paging
// by Seq is exact while connections come and go: none that stays is missed or
// seen twice.
func (s *Server) Connections(_ context.Context, to Target, after uint64, limit int) (page []Connection, more bool, err error) {
	n := s.namespaces.find(to.Namespace)
	if n == nil {
		return nil, false, ErrUnknownNamespace
	}
	n.mu.Lock()
	var found []*Socket
	n.members.Select(to.Selector, func(e *room.Entry[*Socket]) {
		if e.Value.seq > after {
			found = append(found, e.Value)
		}
	})
	n.mu.Unlock()

	// Sorting a large namespace takes a while: not under the lock.
	slices.SortFunc(found, func(a, b *Socket) int { return cmp.Compare(a.seq, b.seq) })

	n.mu.Lock()
	defer n.mu.Unlock()
	for _, sock := range found {
		if len(page) == limit {
			return page, true, nil
		}
		if !sock.gone.Load() {
			page = append(page, sock.viewLocked())
		}
	}
	return page, false, nil
}

// Connection returns one connection, or [ErrNotFound].
func (s *Server) Connection(_ context.Context, namespace, id string) (Connection, error) {
	n := s.namespaces.find(namespace)
	if n == nil {
		return Connection{}, ErrUnknownNamespace
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.members.Lookup(id)
	if e == nil {
		return Connection{}, ErrNotFound
	}
	return e.Value.viewLocked(), nil
}

// Count counts the target's connections, grouped; see [GroupBy] for the keys.
// With GroupNamespace and no namespace in the target it spans all namespaces.
func (s *Server) Count(_ context.Context, to Target, by GroupBy) (map[string]int, error) {
	counts := map[string]int{}
	if by == GroupNamespace && to.Namespace == "" {
		for _, n := range s.namespaces.all() {
			n.count(counts, to.Selector, func(*Socket) []string { return []string{n.name} })
		}
		return counts, nil
	}
	n := s.namespaces.find(to.Namespace)
	if n == nil {
		return nil, ErrUnknownNamespace
	}
	keys := func(*Socket) []string { return []string{""} }
	switch by {
	case GroupNamespace:
		keys = func(*Socket) []string { return []string{n.name} }
	case GroupTransport:
		keys = func(s *Socket) []string { return []string{s.conn.session.Transport()} }
	case GroupRoom:
		keys = func(s *Socket) []string { return s.entry.Rooms() }
	case GroupUser:
		keys = func(s *Socket) []string { return []string{s.entry.User()} }
	}
	n.count(counts, to.Selector, keys)
	return counts, nil
}

// count adds the selected members to counts. keys is called under the lock.
func (n *Namespace) count(counts map[string]int, sel room.Selector, keys func(*Socket) []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members.Select(sel, func(e *room.Entry[*Socket]) {
		for _, k := range keys(e.Value) {
			counts[k]++
		}
	})
}

// Rooms returns up to limit rooms whose names have the prefix and come after
// the given one, ordered by name, and whether there are more.
func (s *Server) Rooms(_ context.Context, namespace, prefix, after string, limit int) (page []Named, more bool, err error) {
	n := s.namespaces.find(namespace)
	if n == nil {
		return nil, false, ErrUnknownNamespace
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	rooms, more := n.members.Rooms(prefix, after, limit)
	for _, r := range rooms {
		page = append(page, Named{Name: r.Name, Connections: r.Members})
	}
	return page, more, nil
}

// Namespaces is the same for namespaces.
func (s *Server) Namespaces(_ context.Context, prefix, after string, limit int) (page []Named, more bool, err error) {
	for _, n := range s.namespaces.all() {
		if !strings.HasPrefix(n.name, prefix) || n.name <= after {
			continue
		}
		if len(page) == limit {
			return page, true, nil
		}
		n.mu.Lock()
		page = append(page, Named{Name: n.name, Connections: n.members.Len(), Rooms: n.members.RoomCount()})
		n.mu.Unlock()
	}
	return page, false, nil
}
