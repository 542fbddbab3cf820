package cluster

import "github.com/fanoutd/fanoutd/internal/cluster/link"

// Self is what the peers are told of this node.
func (n *Node) Self() link.Self { return n.opts.Self }

// Peers returns what is known of the other nodes, by epoch.
func (n *Node) Peers() []link.Peer { return n.mesh.Peers() }

// Peer returns what is known of the other node with this epoch; false if there is none.
func (n *Node) Peer(epoch string) (link.Peer, bool) { return n.mesh.Peer(epoch) }

// Stats are counts of the links to the peers that are there, and of the peers.
type Stats struct {
	Alive, Suspected                        int
	Sent, Received, Repaired, Refused, Lost uint64 // Lost: Dropped, see link.Peer
	BadPackets                              uint64
	Unanswered                              uint64 // requests that a peer did not answer in time, or was known not to
}

// Stats returns the current counts. Those of a peer that is gone are kept.
func (n *Node) Stats() Stats {
	s := Stats{BadPackets: n.mesh.BadPackets(), Unanswered: n.requests.unanswered.Load()}
	sum := n.mesh.Past()
	for _, p := range n.mesh.Peers() {
		if p.State == link.Suspected {
			s.Suspected++
		} else {
			s.Alive++
		}
		sum.Add(p.Traffic)
	}
	s.Sent, s.Received, s.Repaired, s.Refused, s.Lost = sum.Sent, sum.Received, sum.Repaired, sum.Refused, sum.Dropped
	return s
}
