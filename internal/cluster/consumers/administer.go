package consumers

import (
	"context"
	"encoding/json"
	"maps"
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
func (d *Dispatcher) Reply(id string, args []byte, attachments [][]byte) error {
	if len(id) < epochLength || id[:epochLength] == d.opts.Epoch {
		return d.local.Reply(id, args, attachments)
	}
	p := d.peer(id[:epochLength])
	if p == nil {
		return d.local.Reply(id, args, attachments) // which knows no such id
	}
	r := d.call(p, &clusterv1.Call{Kind: &clusterv1.Call_Reply{Reply: &clusterv1.Reply{DeliveryId: id, Args: args, Attachments: attachments}}})
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

// DeleteGroup is as [dispatch.Dispatcher.DeleteGroup], at all nodes that answer. It counts
// the consumers once each. One that does not answer keeps the group, and tells the others
// again what it authorises when it is back: then it is to be deleted once more.
func (d *Dispatcher) DeleteGroup(group string) (ended int, err error) {
	ended, err = d.local.DeleteGroup(group)
	d.callAll(func() *clusterv1.Call { return &clusterv1.Call{Kind: &clusterv1.Call_DeleteGroup{DeleteGroup: group}} },
		func(p *peer, r *clusterv1.CallResult) {
			switch {
			case r == nil:
				d.log.Warn("a node did not answer: it keeps the group, and what it authorises", "node", p.name, "group", group)
			case r.GetError() == "":
				err, ended = nil, max(ended, int(r.GetAffected()))
			}
		})
	return ended, err
}

// DisconnectConsumer is as [dispatch.Dispatcher.DisconnectConsumer]: a consumer that ends
// at one node ends everywhere.
func (d *Dispatcher) DisconnectConsumer(group, consumer string) error {
	err := d.local.DisconnectConsumer(group, consumer)
	if err == nil {
		return nil
	}
	d.callAll(func() *clusterv1.Call {
		return &clusterv1.Call{Kind: &clusterv1.Call_DisconnectConsumer{DisconnectConsumer: &clusterv1.ConsumerName{Group: group, ConsumerId: consumer}}}
	}, func(_ *peer, r *clusterv1.CallResult) {
		if r != nil && r.GetError() == "" {
			err = nil
		}
	})
	return err
}

// Groups returns the groups of all nodes that answer, by name, each once: what waits and
// what was counted is added up. A consumer is listed once, with what it has at all nodes.
func (d *Dispatcher) Groups() []dispatch.GroupStatus {
	all := map[string]*dispatch.GroupStatus{}
	add := func(groups []dispatch.GroupStatus) {
		for _, g := range groups {
			if sum := all[g.Name]; sum != nil {
				addGroup(sum, &g)
			} else {
				all[g.Name] = &g
			}
		}
	}
	add(d.local.Groups())
	d.callAll(func() *clusterv1.Call {
		return &clusterv1.Call{Kind: &clusterv1.Call_Groups{Groups: &clusterv1.Groups{}}}
	},
		func(p *peer, r *clusterv1.CallResult) {
			var groups []dispatch.GroupStatus
			if r == nil || json.Unmarshal(r.GetJson(), &groups) != nil {
				d.log.Debug("a node's groups are not known", "node", p.name)
				return
			}
			add(groups)
		})
	list := make([]dispatch.GroupStatus, 0, len(all))
	for _, g := range all {
		slices.SortFunc(g.Subscriptions, func(a, b dispatch.SubscriptionStatus) int { return strings.Compare(a.ConsumerID, b.ConsumerID) })
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b dispatch.GroupStatus) int { return strings.Compare(a.Name, b.Name) })
	return list
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

// deadLetters is a Call about the dead letters that the filter means.
func deadLetters(f *dispatch.DeadLetterFilter, after string, limit int) *clusterv1.DeadLetters {
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // strings cannot fail
	}
	return &clusterv1.DeadLetters{Filter: text, After: after, Limit: int32(limit)} //nolint:gosec // a thousand at most
}

// DeadLetters lists node by node, in the order of their epochs, which their ids begin
// with. One that does not answer is passed over.
func (d *Dispatcher) DeadLetters(f dispatch.DeadLetterFilter, after string, limit int) (page []dispatch.DeadLetter, more bool) {
	places := map[string]*peer{d.opts.Epoch: nil}
	for _, p := range d.all() {
		places[p.epoch] = p
	}
	for _, epoch := range slices.Sorted(maps.Keys(places)) {
		if len(after) >= epochLength && epoch < after[:epochLength] {
			continue
		}
		if len(page) == limit {
			return page, true
		}
		var part []dispatch.DeadLetter
		if p := places[epoch]; p == nil {
			part, more = d.local.DeadLetters(f, after, limit-len(page))
		} else {
			r := d.call(p, &clusterv1.Call{Kind: &clusterv1.Call_DeadLetters{DeadLetters: deadLetters(&f, after, limit-len(page))}})
			if r == nil || json.Unmarshal(r.GetJson(), &part) != nil {
				d.log.Warn("a node's dead letters are not listed: it does not answer", "node", p.name)
				continue
			}
			for i := range part {
				part[i].Node = p.name
			}
			more = r.GetMore()
		}
		if page = append(page, part...); more {
			return page, true
		}
	}
	return page, false
}

// ReplayDeadLetters is as [dispatch.Dispatcher.ReplayDeadLetters], at all nodes that
// answer; their numbers are added up.
func (d *Dispatcher) ReplayDeadLetters(f dispatch.DeadLetterFilter) (int, error) {
	n, err := d.local.ReplayDeadLetters(f)
	d.callAll(func() *clusterv1.Call {
		return &clusterv1.Call{Kind: &clusterv1.Call_Replay{Replay: deadLetters(&f, "", 0)}}
	},
		func(p *peer, r *clusterv1.CallResult) {
			switch {
			case r == nil:
				d.log.Warn("a node's dead letters are not replayed: it does not answer", "node", p.name)
			case r.GetError() == "":
				n += int(r.GetAffected())
			case err == nil:
				err = errorOf(r.GetError())
			}
		})
	if n > 0 {
		err = nil
	}
	return n, err
}

// DeleteDeadLetters is as [dispatch.Dispatcher.DeleteDeadLetters], at all nodes that
// answer; their numbers are added up.
func (d *Dispatcher) DeleteDeadLetters(f dispatch.DeadLetterFilter) int {
	n := d.local.DeleteDeadLetters(f)
	d.callAll(func() *clusterv1.Call {
		return &clusterv1.Call{Kind: &clusterv1.Call_Delete{Delete: deadLetters(&f, "", 0)}}
	},
		func(p *peer, r *clusterv1.CallResult) {
			if r == nil {
				d.log.Warn("a node's dead letters are not deleted: it does not answer", "node", p.name)
				return
			}
			n += int(r.GetAffected())
		})
	return n
}
