package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Connection returns one connection, from the node that holds it. Errors: those of
// [sio.Server.Connection], and [sio.UnreachableError].
func (n *Node) Connection(ctx context.Context, namespace, id string) (found sio.Connection, err error) {
	err = n.atHolder(id, namespace, func(p *peer) (err error) {
		if p == nil {
			found, err = n.hub.Connection(ctx, namespace, id)
			return err
		}
		a, err := n.askOne(ctx, p, query(&clusterv1.Query{
			To: &clusterv1.Target{Namespace: namespace, Ids: []string{id}}, Kind: &clusterv1.Query_Connection{Connection: &clusterv1.GetConnection{}},
		}))
		if err != nil {
			return err
		}
		list := a.GetConnections().GetConnections()
		if len(list) != 1 {
			return errPeer
		}
		found, err = ToConnection(list[0])
		return err
	})
	return found, err
}

func query(q *clusterv1.Query) *clusterv1.Message {
	return &clusterv1.Message{Body: &clusterv1.Message_Query{Query: q}}
}

// HasNamespace is this node's answer: all serve the same.
func (n *Node) HasNamespace(ctx context.Context, namespace string) (bool, error) {
	return n.hub.HasNamespace(ctx, namespace)
}

// Connections lists node by node, in the order of their epochs, so that a page asks
// one node or two, and the loss of one costs its own connections and nobody else's
// place. A cursor is the epoch of a node and a cursor of its own.
//
// A peer that does not answer is named, and passed over: a later page does not come
// back to it.
func (n *Node) Connections(ctx context.Context, to sio.Target, cursor string, limit int) (sio.ConnectionPage, error) {
	if ok, err := n.hub.HasNamespace(ctx, to.Namespace); err != nil || !ok {
		return sio.ConnectionPage{}, errors.Join(err, sio.ErrUnknownNamespace)
	}
	epoch, rest := "", ""
	if cursor != "" {
		var ok bool
		if epoch, rest, ok = strings.Cut(cursor, "."); !ok || len(epoch) != EpochLength {
			return sio.ConnectionPage{}, sio.ErrBadCursor
		}
	}
	ctx, cancel := n.answerTime(ctx)
	defer cancel()
	var page sio.ConnectionPage
	places := n.places(&to)
	for i, at := range places {
		if at.epoch < epoch {
			continue
		}
		if at.epoch != epoch {
			rest = "" // the node that the cursor was of is gone, or done
		}
		if len(page.Connections) >= limit {
			page.Next = at.epoch + "."
			break
		}
		part, err := n.connectionsAt(ctx, at, to, rest, limit-len(page.Connections), i+1 < len(places))
		switch {
		case errors.Is(err, errUnreachable):
			page.Miss(at.peer.name)
			continue
		case err != nil:
			return sio.ConnectionPage{}, err
		}
		for i := range part.Connections {
			part.Connections[i].Cursor = at.epoch + "." + part.Connections[i].Cursor
		}
		page.Connections = append(page.Connections, part.Connections...)
		if part.Next != "" {
			page.Next = at.epoch + "." + part.Next
			break
		}
		if i+1 < len(places) && len(page.Connections) > 0 && len(page.Connections) >= limit {
			page.Next = places[i+1].epoch + "."
			break
		}
	}
	n.missSuspected(&page.Coverage)
	return page, nil
}

// place is a node that a listing visits.
type place struct {
	epoch string
	peer  *peer // nil: this node
}

// places returns the nodes that may have connections of the target, by epoch.
func (n *Node) places(to *sio.Target) []place {
	all := []place{{epoch: n.opts.Self.Epoch}}
	for _, p := range n.interested(to) {
		all = append(all, place{p.epoch, p})
	}
	slices.SortFunc(all, func(a, b place) int { return strings.Compare(a.epoch, b.epoch) })
	return all
}

// connectionsAt is a page of one node's; half of the time there is for it if others
// follow. Its error is errUnreachable for a peer that does not answer.
func (n *Node) connectionsAt(ctx context.Context, at place, to sio.Target, cursor string, limit int, others bool) (sio.ConnectionPage, error) {
	if at.peer == nil {
		return n.hub.Connections(ctx, to, cursor, limit)
	}
	if deadline, ok := ctx.Deadline(); ok && others {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	a, err := n.askOne(ctx, at.peer, query(&clusterv1.Query{
		To: fromTarget(&to), Cursor: cursor, Limit: int32(limit), //nolint:gosec // a thousand at most
		Kind: &clusterv1.Query_Connections{Connections: &clusterv1.ListConnections{}},
	}))
	switch {
	case errors.Is(err, errPeer), errors.Is(err, errUnsupported), errors.Is(err, sio.ErrBusy), errors.Is(err, sio.ErrClosed):
		return sio.ConnectionPage{}, errUnreachable
	case errors.Is(err, sio.ErrUnknownNamespace):
		return sio.ConnectionPage{}, nil
	case err != nil:
		return sio.ConnectionPage{}, err
	}
	page := sio.ConnectionPage{Next: a.GetConnections().GetNext()}
	for _, m := range a.GetConnections().GetConnections() {
		c, err := ToConnection(m)
		if err != nil {
			return sio.ConnectionPage{}, errUnreachable
		}
		page.Connections = append(page.Connections, c)
	}
	return page, nil
}

// missSuspected names the peers that are known not to answer: whatever is listed may
// lack what they have.
func (n *Node) missSuspected(c *sio.Coverage) {
	for _, p := range n.all() {
		if p.suspected.Load() {
			c.Miss(p.name)
		}
	}
}

// Count adds up what all nodes count.
func (n *Node) Count(ctx context.Context, to sio.Target, by sio.GroupBy) (sio.Counts, error) {
	counts, err := n.hub.Count(ctx, to, by)
	if err != nil {
		return counts, err
	}
	m := query(&clusterv1.Query{To: fromTarget(&to), Kind: &clusterv1.Query_Count{Count: &clusterv1.Count{By: int32(by)}}}) //nolint:gosec // an enum
	err = n.askAll(ctx, n.interested(&to), m, func(p *peer, a *clusterv1.Answer) {
		if !counted(a) {
			counts.Miss(p.name)
			return
		}
		counts.Total += int(a.GetCounts().GetTotal())
		for name, c := range a.GetCounts().GetGroups() {
			counts.Groups[name] += int(c)
		}
	})
	n.missSuspected(&counts.Coverage)
	return counts, err
}

// counted reports whether an answer is one: of a node that does not serve the
// namespace too.
func counted(a *clusterv1.Answer) bool {
	return a != nil && (a.GetCode() == clusterv1.Answer_OK || a.GetCode() == clusterv1.Answer_UNKNOWN_NAMESPACE)
}

// Rooms merges the pages of all nodes by name. A room on several nodes is listed once.
func (n *Node) Rooms(ctx context.Context, namespace string, filter sio.RoomFilter, cursor string, limit int) (sio.NamePage, error) {
	own, err := n.hub.Rooms(ctx, namespace, filter, cursor, limit)
	if err != nil {
		return own, err
	}
	to := sio.Target{Namespace: namespace}
	to.All = true
	return n.mergeNames(ctx, own, n.interested(&to), limit, &clusterv1.Query{
		To: &clusterv1.Target{Namespace: namespace}, Cursor: cursor, Limit: int32(limit), //nolint:gosec // a thousand at most
		Kind: &clusterv1.Query_Rooms{Rooms: &clusterv1.ListRooms{Prefix: filter.Prefix, Ids: filter.IDs}},
	})
}

// Users does for users what Rooms does for rooms.
func (n *Node) Users(ctx context.Context, namespace, prefix, cursor string, limit int) (sio.NamePage, error) {
	own, err := n.hub.Users(ctx, namespace, prefix, cursor, limit)
	if err != nil {
		return own, err
	}
	to := sio.Target{Namespace: namespace}
	to.All = true
	return n.mergeNames(ctx, own, n.interested(&to), limit, &clusterv1.Query{
		To: &clusterv1.Target{Namespace: namespace}, Cursor: cursor, Limit: int32(limit), //nolint:gosec // a thousand at most
		Kind: &clusterv1.Query_Users{Users: &clusterv1.ListUsers{Prefix: prefix}},
	})
}

// Namespaces does for namespaces what Rooms does for rooms. A room with members on
// several nodes counts once for each.
func (n *Node) Namespaces(ctx context.Context, prefix, cursor string, limit int) (sio.NamePage, error) {
	own, err := n.hub.Namespaces(ctx, prefix, cursor, limit)
	if err != nil {
		return own, err
	}
	return n.mergeNames(ctx, own, n.all(), limit, &clusterv1.Query{
		Cursor: cursor, Limit: int32(limit), //nolint:gosec // a thousand at most
		Kind: &clusterv1.Query_Namespaces{Namespaces: &clusterv1.ListNamespaces{Prefix: prefix}},
	})
}

// mergeNames adds the peers' pages to this node's. Beyond the end of a page that has a
// next one nothing is known of its node, so the merged page ends there.
func (n *Node) mergeNames(ctx context.Context, own sio.NamePage, peers []*peer, limit int, q *clusterv1.Query) (sio.NamePage, error) {
	var page sio.NamePage
	sums := map[string]sio.Named{}
	end := "" // of what is known of all
	add := func(name sio.Named) {
		s := sums[name.Name]
		s.Name = name.Name
		s.Connections += name.Connections
		s.Rooms += name.Rooms
		sums[name.Name] = s
	}
	bound := func(next string) {
		if next != "" && (end == "" || next < end) {
			end = next
		}
	}
	for _, name := range own.Names {
		add(name)
	}
	bound(own.Next)
	err := n.askAll(ctx, peers, query(q), func(p *peer, a *clusterv1.Answer) {
		if !counted(a) {
			page.Miss(p.name)
			return
		}
		for _, name := range a.GetNames().GetNames() {
			add(sio.Named{Name: name.GetName(), Connections: int(name.GetConnections()), Rooms: int(name.GetRooms())})
		}
		bound(a.GetNames().GetNext())
	})
	if err != nil {
		return sio.NamePage{}, err
	}
	for _, s := range sums {
		if end == "" || s.Name <= end {
			page.Names = append(page.Names, s)
		}
	}
	slices.SortFunc(page.Names, func(a, b sio.Named) int { return cmp.Compare(a.Name, b.Name) })
	if len(page.Names) > limit || end != "" {
		page.Names = page.Names[:min(len(page.Names), limit)]
		if len(page.Names) > 0 {
			page.Next = page.Names[len(page.Names)-1].Name
		}
	}
	n.missSuspected(&page.Coverage)
	return page, nil
}
