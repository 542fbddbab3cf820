package control

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

func (a *Admin) ListConsumers(ctx context.Context, req *fanoutv1.ListConsumersRequest) (*fanoutv1.ListConsumersResponse, error) {
	var p problems
	size := toPageSize(&p, req.GetPageSize())
	list := newListing("consumers", req.GetGroup())
	after := list.toCursor(&p, req.GetPageToken())
	if p.any() {
		return nil, p.err()
	}
	resp := &fanoutv1.ListConsumersResponse{}
	if a.dispatcher == nil {
		return resp, nil
	}
	groups, counts, nodes := a.dispatcher.Groups(ctx)
	resp.Counts, resp.Unreachable = fromStats(counts), nodes.Unreachable
	var group *fanoutv1.ListConsumersResponse_Group // that is being filled
	bytes, last := 0, ""
	for _, s := range seats(groups) {
		if s.key <= after || (req.GetGroup() != "" && s.group.Name != req.GetGroup()) {
			continue
		}
		var consumer *fanoutv1.ListConsumersResponse_Consumer
		if s.consumer != nil {
			consumer = fromConsumer(s.consumer, a.info.Node)
		}
		next := group
		if next == nil || next.GetName() != s.group.Name {
			next = fromGroup(s.group)
			bytes += proto.Size(next)
		}
		bytes += proto.Size(consumer) + len(s.key)
		if last != "" && (size == 0 || bytes > maxPageBytes) {
			resp.NextPageToken = list.token(last)
			break
		}
		if next != group {
			group = next
			resp.Groups = append(resp.Groups, group)
		}
		if consumer != nil {
			group.Consumers = append(group.Consumers, consumer)
		}
		size--
		last = s.key
	}
	return resp, nil
}

// seat is a line of the listing: a consumer in its group, or a group without
// any.
type seat struct {
	key      string // what the listing is sorted and paged by
	group    *dispatch.GroupStatus
	consumer *dispatch.SubscriptionStatus // nil: none
}

// seats sorts by group and then by consumer. The NUL in the key, which no name
// holds, makes it the same order.
func seats(groups []dispatch.GroupStatus) []seat {
	var all []seat
	for i := range groups {
		g := &groups[i]
		if len(g.Subscriptions) == 0 {
			all = append(all, seat{key: g.Name + "\x00", group: g})
		}
		for j := range g.Subscriptions {
			c := &g.Subscriptions[j]
			all = append(all, seat{key: g.Name + "\x00" + c.ConsumerID, group: g, consumer: c})
		}
	}
	slices.SortFunc(all, func(a, b seat) int { return strings.Compare(a.key, b.key) })
	return all
}

func fromGroup(g *dispatch.GroupStatus) *fanoutv1.ListConsumersResponse_Group {
	group := &fanoutv1.ListConsumersResponse_Group{
		Name: g.Name, PendingEvents: count(g.Waiting), OrphanedBytes: count(g.UnownedBytes), AuthorizedNamespaces: g.Authorized,
		LostEvents:   g.Lost,
		PendingBytes: uint64(g.Bytes), InFlight: count(g.InFlight),
		Delivered: g.Delivered, Redelivered: g.Redelivered, Dropped: g.Dropped, DeadLetters: g.DeadLetters,
	}
	if g.OldestAge > 0 {
		group.OldestPendingAge = durationpb.New(g.OldestAge)
	}
	if len(g.Authorized) > 0 && !slices.ContainsFunc(g.Subscriptions, func(s dispatch.SubscriptionStatus) bool { return s.Authorize }) {
		group.Warning = "it authorises, and no consumer is there to do it: nobody gets in until one comes, or DeleteGroup"
	}
	return group
}

func fromConsumer(c *dispatch.SubscriptionStatus, node string) *fanoutv1.ListConsumersResponse_Consumer {
	return &fanoutv1.ListConsumersResponse_Consumer{
		ConsumerId: c.ConsumerID, Node: cmp.Or(c.Node, node),
		Namespaces: c.Namespaces, Events: c.Events, Lifecycle: c.Lifecycle, Authorize: c.Authorize,
		MaxInFlight: count(c.MaxInFlight), InFlight: count(c.InFlight), Connections: count(c.Connections),
		QueuedBytes: count(c.QueuedBytes), Leaving: c.Draining, Topics: c.Topics, LastActive: timestamppb.New(c.LastActive),
	}
}

func fromStats(s dispatch.Stats) *fanoutv1.ListConsumersResponse_Counts {
	return &fanoutv1.ListConsumersResponse_Counts{
		Events: s.Events, Unheard: s.Unheard, Dropped: s.Dropped, Redelivered: s.Redelivered,
		StalledConsumers: s.StalledConsumers, StalledSessions: s.StalledSessions,
	}
}
