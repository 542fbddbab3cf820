package sio

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// Count counts the target's connections, grouped; see [GroupBy] for the keys.
// With GroupNamespace and no namespace in the target it spans all namespaces.
//
// Everybody, one room or one user, not grouped by what differs among them, is
// read from a counter and exact at that moment. Everything else is counted piece
// by piece, and exact for the connections that are in the target and its groups
// all the while.
//
// Errors: [ErrUnknownNamespace], and the cause of ctx's end.
func (s *Server) Count(ctx context.Context, to Target, by GroupBy) (Counts, error) {
	counts := Counts{Groups: map[string]int{}}
	if by == GroupNamespace && to.Namespace == "" {
		to.Namespace = EveryNamespace
	}
	all, ok := s.namespaces.meant(to.Namespace)
	if !ok {
		return Counts{}, ErrUnknownNamespace
	}
	for _, n := range all {
		if err := n.count(ctx, &counts, to, by); err != nil {
			return Counts{}, err
		}
	}
	return counts, nil
}

// count adds the selected members to counts.
func (n *Namespace) count(ctx context.Context, counts *Counts, to Target, by GroupBy) error {
	sel, err := n.selectorOf(ctx, to)
	if err != nil {
		return err
	}
	total, known := n.counter(sel)
	switch by {
	case GroupNone, GroupNode, GroupNamespace:
		if !known {
			break
		}
		key := map[GroupBy]string{GroupNode: n.server.opts.Node, GroupNamespace: n.name}[by]
		counts.add(key, total)
		counts.Total += total
		return nil
	case GroupRoom:
		if sel.All && known {
			counts.Total += total
			return n.countRooms(ctx, counts)
		}
	}
	return n.countEach(ctx, counts, sel, by)
}

// counter returns how many members are selected if a counter knows that.
func (n *Namespace) counter(sel room.Selector) (total int, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members.Count(sel)
}

// countRooms adds the sizes of all rooms.
func (n *Namespace) countRooms(ctx context.Context, counts *Counts) error {
	for after, more := "", true; more; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var rooms []room.Count
		rooms, more = n.rooms("", after, scanPiece)
		for _, r := range rooms {
			counts.Groups[r.Name] += r.Members
			after = r.Name
		}
	}
	return nil
}

// countEach looks at the members one by one.
func (n *Namespace) countEach(ctx context.Context, counts *Counts, sel room.Selector, by GroupBy) error {
	var seen map[*room.Entry[*Socket]]struct{}
	if len(sel.Rooms)+len(sel.IDs)+len(sel.Users) > 1 && !sel.All {
		seen = map[*room.Entry[*Socket]]struct{}{} // its parts may overlap
	}
	scan := room.NewScan[*Socket](sel, 0, 0)
	piece := scanPiece
	if by == GroupRoom {
		piece = viewPiece
	}
	var found []*Socket // whose transports are asked for outside the lock
	for more := true; more; {
		var err error
		found = found[:0]
		more, err = n.next(ctx, scan, piece, func(e *room.Entry[*Socket]) {
			if seen != nil {
				if _, ok := seen[e]; ok {
					return
				}
				seen[e] = struct{}{}
			}
			counts.Total++
			switch by {
			case GroupNone:
				counts.Groups[""]++
			case GroupNode:
				counts.Groups[n.server.opts.Node]++
			case GroupNamespace:
				counts.Groups[n.name]++
			case GroupUser:
				counts.Groups[e.User()]++
			case GroupRoom:
				for _, name := range e.Rooms() {
					counts.Groups[name]++
				}
			case GroupTransport:
				found = append(found, e.Value)
			}
		})
		if err != nil {
			return err
		}
		for _, s := range found {
			counts.Groups[s.conn.session.Transport()]++
		}
	}
	return nil
}
