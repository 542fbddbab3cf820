package cluster

import "github.com/fanoutd/fanoutd/internal/cluster/link"

// Self is what the peers are told of this node.
func (n *Node) Self() link.Self { return n.opts.Self }

// Peers returns what is known of the other nodes, by epoch.
func (n *Node) Peers() []link.Peer { return n.mesh.Peers() }

// Address returns where the node with this epoch takes requests of browsers that are
// its own; false if it is not there, or takes none.
func (n *Node) Address(epoch string) (string, bool) {
	p, ok := n.mesh.Peer(epoch)
	return p.Address, ok && p.Address != ""
}
