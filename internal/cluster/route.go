package cluster

import (
	"errors"

	"github.com/fanoutd/fanoutd/internal/cluster/interest"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
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
// where that is certain: of a peer that does not answer it is for ids alone, which stay
// where they are meanwhile, since rooms, users and namespaces may have come unheard.
func (p *peer) mayHave(to *sio.Target) bool {
	if sio.Spans(to.Namespace) {
		return true // what it has in which namespaces is known of single names alone
	}
	if p.suspected.Load() && (to.All || len(to.Rooms)+len(to.Users) > 0) {
		return true
	}
	if to.All || to.Namespace == "" {
		return to.Namespace == "" || p.interest.Has(interest.Namespace, to.Namespace, "")
	}
	for _, names := range [][]string{to.IDs, to.Rooms} { // an id is a room too
		for _, name := range names {
			if epochOf(name) == p.epoch || p.interest.Has(interest.Room, to.Namespace, name) {
				return true
			}
		}
	}
	for _, user := range to.Users {
		if p.interest.Has(interest.User, to.Namespace, user) {
			return true
		}
	}
	return false
}

// atHolder calls f for each node that may hold the connection with this id, until one
// does: for this one with nil, and then for the peer that the id names, or another that
// the connection has come back to. f's error is sio.ErrNotFound where it is not. Errors:
// those of f, sio.ErrNotFound, and [sio.UnreachableError] if a node that may hold it
// does not answer.
func (n *Node) atHolder(id, namespace string, f func(p *peer) error) error {
	err := f(nil)
	if !errors.Is(err, sio.ErrNotFound) {
		return err
	}
	one := sio.Target{Namespace: namespace, Selector: room.Selector{IDs: []string{id}}}
	for _, p := range n.interested(&one) {
		switch said := f(p); {
		case errors.Is(said, errUnreachable):
			err = &sio.UnreachableError{Node: p.name}
		case !errors.Is(said, sio.ErrNotFound):
			return said
		}
	}
	return err
}
