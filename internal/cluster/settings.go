package cluster

import (
	"maps"
	"slices"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
)

// sendSettings tells the peer what all nodes are to be set to alike.
func (p *peer) sendSettings() {
	if len(p.node.opts.Settings) > 0 {
		p.post(mustMarshal(&clusterv1.Message{Body: &clusterv1.Message_Settings{Settings: &clusterv1.Settings{Values: p.node.opts.Settings}}}))
	}
}

// compareSettings warns of those that the peer has otherwise. It goes on with the peer all
// the same: while an operator changes a setting at one node after the other, they differ.
func (n *Node) compareSettings(p *peer, there map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(n.opts.Settings)) {
		value, known := there[name]
		if here := n.opts.Settings[name]; known && value != here {
			n.log.Warn("a node is set otherwise than this one: clients find one or the other, so set all nodes alike",
				"node", p.name, "setting", name, "here", here, "there", value)
		}
	}
}
