package consumers

import (
	"maps"
	"slices"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/dispatch"
)

const (
	// maxToldLost bounds the connections that are remembered to have been told lost, at
	// all nodes that are gone. Those of the node that went first are forgotten first.
	maxToldLost = 200_000
	// maxReturned is how many ids one message has.
	maxReturned = 10_000
)

// toldLost are the connections that this node's consumers were told are lost, in case
// their nodes are back after all. The dispatcher's mutex guards it.
type toldLost struct {
	nodes []*lostNode // in the order in which they went
	total int         // connections
}

// lostNode is a node that is gone.
type lostNode struct {
	name, epoch string
	groups      map[string]map[string]bool // ids, by group
	total       int
}

// add notes that a group is told of the ends of these connections.
func (t *toldLost) add(p *peer, group string, ids []string) {
	i := slices.IndexFunc(t.nodes, func(n *lostNode) bool { return n.name == p.name && n.epoch == p.epoch })
	if i < 0 {
		t.take(p.name) // of an earlier epoch
		i = len(t.nodes)
		t.nodes = append(t.nodes, &lostNode{name: p.name, epoch: p.epoch, groups: map[string]map[string]bool{}})
	}
	n := t.nodes[i]
	if n.groups[group] == nil {
		n.groups[group] = map[string]bool{}
	}
	before := len(n.groups[group])
	for _, id := range ids {
		n.groups[group][id] = true
	}
	added := len(n.groups[group]) - before
	n.total += added
	t.total += added
	for t.total > maxToldLost {
		t.take(t.nodes[0].name)
	}
}

// take forgets what is noted of a node, whose name it is, and returns it.
func (t *toldLost) take(name string) *lostNode {
	i := slices.IndexFunc(t.nodes, func(n *lostNode) bool { return n.name == name })
	if i < 0 {
		return nil
	}
	n := t.nodes[i]
	t.nodes = slices.Delete(t.nodes, i, i+1)
	t.total -= n.total
	return n
}

// returned has a node that is back told which of its connections groups were told are
// lost. Ends that were not delivered yet are no news any more.
func (p *peer) returned(n *lostNode, homes []*Subscription) {
	if n == nil || n.epoch != p.epoch {
		return
	}
	var news []*clusterv1.ConsumerMessage
	for _, group := range slices.Sorted(maps.Keys(n.groups)) {
		ids := n.groups[group]
		for _, s := range homes {
			if s.options.Group == group {
				s.withdrawLost(ids)
			}
		}
		for some := range slices.Chunk(slices.Sorted(maps.Keys(ids)), maxReturned) {
			news = append(news, &clusterv1.ConsumerMessage{Body: &clusterv1.ConsumerMessage_NodeLost{
				NodeLost: &clusterv1.NodeLost{Group: group, ConnectionIds: some},
			}})
		}
	}
	p.mu.Lock()
	p.news = news
	p.mu.Unlock()
}

// tellReturned tells that once more, unless the peer has got it.
func (p *peer) tellReturned() {
	p.mu.Lock()
	news := p.news
	p.mu.Unlock()
	for _, m := range news {
		p.post(m)
	}
}

// withdrawLost takes back the ends of these connections that were never delivered, and
// takes them out of ids.
func (s *Subscription) withdrawLost(ids map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost.waiting = slices.DeleteFunc(s.lost.waiting, func(d dispatch.Delivery) bool {
		untold := d.Attempt == 1 && ids[d.ConnectionID]
		if untold {
			delete(ids, d.ConnectionID)
			s.withdrawLocked(d)
		}
		return untold
	})
}
