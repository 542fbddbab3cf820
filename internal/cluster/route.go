package cluster

import (
	"github.com/fanoutd/fanoutd/internal/cluster/interest"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// interested returns the peers that may have connections of the target, by epoch.
func (n *Node) interested(to *sio.Target) []*peer {
	var found []*peer
	for _, p := range n.all() {
		if p.mayHave(to) {
			found = append(found, p)
		}
	}
	return found
}

// mayHave reports whether the peer may have connections of the target. It says no only
// where that is certain.
func (p *peer) mayHave(to *sio.Target) bool {
	if to.All || to.Namespace == "" {
		return to.Namespace == "" || p.interest.Has(interest.Namespace, to.Namespace, "")
	}
	for _, id := range to.IDs {
		if epochOf(id) == p.epoch {
			return true
		}
	}
	for _, name := range to.Rooms {
		if epochOf(name) == p.epoch || p.interest.Has(interest.Room, to.Namespace, name) { // an id is a room too
			return true
		}
	}
	for _, user := range to.Users {
		if p.interest.Has(interest.User, to.Namespace, user) {
			return true
		}
	}
	return false
}

// holder returns who holds the connection with this id: a peer, or here; neither if it
// is the id of no node that is there.
func (n *Node) holder(id string) (p *peer, here bool) {
	epoch := epochOf(id)
	return n.peer(epoch), epoch == n.opts.Self.Epoch
}
