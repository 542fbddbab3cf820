package consumers

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// epochLength is how many characters of a delivery's id name its node.
const epochLength = 5

// Reply is as [dispatch.Dispatcher.Reply], at the node that the id names. One of a node
// that is not there is [dispatch.ErrNoReply]: the browser that waits is gone with it. A
// node that does not answer is an [sio.UnreachableError]: the browser may have got it.
func (d *Dispatcher) Reply(id string, namespaces []string, args []byte, attachments [][]byte) error {
	if len(id) < epochLength || id[:epochLength] == d.opts.Epoch {
		return d.local.Reply(id, namespaces, args, attachments)
	}
	p := d.peer(id[:epochLength])
	if p == nil {
		return d.local.Reply(id, namespaces, args, attachments) // which knows no such id
	}
	ctx, cancel := d.answerTime(context.Background())
	defer cancel()
	r := d.call(ctx, p, &clusterv1.Call{Kind: &clusterv1.Call_Reply{Reply: &clusterv1.Reply{DeliveryId: id, Args: args, Attachments: attachments, Namespaces: namespaces}}})
	if r == nil {
		return &sio.UnreachableError{Node: p.name}
	}
	return errorOf(r.GetError())
}

// Settled waits, but not past ctx, until consumers have settled what a connection did,
// that was cut off here.
func (d *Dispatcher) Settled(ctx context.Context, connectionID string) {
	d.local.Settled(ctx, connectionID)
}

// DeleteGroup is as [dispatch.Dispatcher.DeleteGroup], at all nodes that answer, which
// nodes has the others of. It counts the consumers once each. One that does not answer
// keeps the group, and tells the others again what it authorises when it is back: then it
// is to be deleted once more. Error: [dispatch.ErrNoGroup], or an [sio.UnreachableError]
// if a node that did not answer may have it.
func (d *Dispatcher) DeleteGroup(ctx context.Context, group string) (ended int, nodes sio.Coverage, err error) {
	ended, err = d.local.DeleteGroup(group)
	answers, nodes := d.callEach(ctx, d.all(), func() *clusterv1.Call { return &clusterv1.Call{Kind: &clusterv1.Call_DeleteGroup{DeleteGroup: group}} })
	for _, a := range answers {
		if a.GetError() == "" {
			err, ended = nil, max(ended, int(a.GetAffected()))
		}
	}
	if err == nil && nodes.Partial {
		d.log.Warn("nodes did not answer: they keep the group, and what it authorises", "nodes", nodes.Unreachable, "group", group)
	}
	return ended, nodes, orUnreachable(err, &nodes)
}

// DisconnectConsumer is as [dispatch.Dispatcher.DisconnectConsumer]: a consumer that ends
// at one node ends everywhere, at those that nodes has when they answer again. Errors:
// [dispatch.ErrNoGroup], [dispatch.ErrNoConsumer], or an [sio.UnreachableError] if a node
// that did not answer may know the consumer.
func (d *Dispatcher) DisconnectConsumer(ctx context.Context, group, consumer string) (nodes sio.Coverage, err error) {
	err = d.local.DisconnectConsumer(group, consumer)
	answers, nodes := d.callEach(ctx, d.all(), func() *clusterv1.Call {
		return &clusterv1.Call{Kind: &clusterv1.Call_DisconnectConsumer{DisconnectConsumer: &clusterv1.ConsumerName{Group: group, ConsumerId: consumer}}}
	})
	for _, a := range answers {
		if a.GetError() == "" {
			err = nil
		}
	}
	return nodes, orUnreachable(err, &nodes)
}

// orUnreachable is err, that what is meant is not there, if all nodes say so; else that
// one of them does not answer.
func orUnreachable(err error, nodes *sio.Coverage) error {
	if err == nil || len(nodes.Unreachable) == 0 {
		return err
	}
	return &sio.UnreachableError{Node: nodes.Unreachable[0]}
}

// Groups returns the groups of all nodes that answer, by name, each once: what waits and
// what was counted is added up. A consumer is listed once, with what it has at all nodes.
// counts are the sums of what the nodes' Stats are; nodes has those that did not answer.
func (d *Dispatcher) Groups(ctx context.Context) (groups []dispatch.GroupStatus, counts dispatch.Stats, nodes sio.Coverage) {
	all := map[string]*dispatch.GroupStatus{}
	add := func(o *groupsAnswer) {
		for _, g := range o.Groups {
			if sum := all[g.Name]; sum != nil {
				addGroup(sum, &g)
			} else {
				all[g.Name] = &g
			}
		}
		counts.Add(&o.Counts)
	}
	add(d.ownGroups())
	answers, nodes := d.callEach(ctx, d.all(), func() *clusterv1.Call {
		return &clusterv1.Call{Kind: &clusterv1.Call_Groups{Groups: &clusterv1.Groups{}}}
	})
	for _, a := range answers {
		var theirs groupsAnswer
		if json.Unmarshal(a.GetJson(), &theirs) != nil {
			nodes.Miss(a.peer.name)
			continue
		}
		add(&theirs)
	}
	groups = make([]dispatch.GroupStatus, 0, len(all))
	for _, g := range all {
		slices.SortFunc(g.Subscriptions, func(a, b dispatch.SubscriptionStatus) int { return strings.Compare(a.ConsumerID, b.ConsumerID) })
		groups = append(groups, *g)
	}
	slices.SortFunc(groups, func(a, b dispatch.GroupStatus) int { return strings.Compare(a.Name, b.Name) })
	return groups, counts, nodes
}

// groupsAnswer is what a node tells of its groups.
type groupsAnswer struct {
	Groups []dispatch.GroupStatus
	Counts dispatch.Stats
}

// ownGroups is this node's. The counts of single groups are with the groups.
func (d *Dispatcher) ownGroups() *groupsAnswer {
	own := &groupsAnswer{d.local.Groups(), d.Stats()}
	own.Counts.Groups = nil
	return own
}

// addGroup adds what another node has of a group.
func addGroup(sum, g *dispatch.GroupStatus) {
	for _, n := range g.Authorized {
		if !slices.Contains(sum.Authorized, n) {
			sum.Authorized = append(sum.Authorized, n)
		}
	}
	slices.Sort(sum.Authorized)
	sum.UnownedBytes += g.UnownedBytes
	sum.GroupCounts.Add(&g.GroupCounts)
	for _, s := range g.Subscriptions {
		i := slices.IndexFunc(sum.Subscriptions, func(o dispatch.SubscriptionStatus) bool { return o.ConsumerID == s.ConsumerID })
		if i < 0 {
			sum.Subscriptions = append(sum.Subscriptions, s)
			continue
		}
		o := &sum.Subscriptions[i]
		o.Connections += s.Connections
		o.InFlight += s.InFlight
		o.QueuedBytes += s.QueuedBytes
		o.Draining = o.Draining || s.Draining
		if s.LastActive.After(o.LastActive) {
			o.LastActive = s.LastActive
		}
	}
}

// Stats counts what browsers of this node did, and consumers whose home it is.
func (d *Dispatcher) Stats() dispatch.Stats {
	s := d.local.Stats()
	d.mu.Lock()
	defer d.mu.Unlock()
	s.StalledConsumers += d.stalled
	s.Dropped += d.lostDropped
	return s
}
