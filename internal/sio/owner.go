package sio

import (
	"context"

	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// Owner names a consumer whose connections are meant: a member of a group that the Backend
// brings events to. The zero Owner: it does not matter whose they are.
type Owner struct{ Group, ConsumerID string }

// Actor is the consumer as one who changes connections.
func (o Owner) Actor() Actor {
	if (o == Owner{}) {
		return ""
	}
	return Actor(o.Group + "\x00" + o.ConsumerID)
}

// Owners knows which connections belong to whom. Its methods are called under no lock of a
// namespace, and may be called at once.
type Owners interface {
	// Owned returns the ids of the connections to a namespace that are the owner's.
	Owned(namespace string, o Owner) []string
	// OwnedOf returns those of the ids that are the owner's. It may change ids.
	OwnedOf(ids []string, o Owner) []string
}

type noOwners struct{}

func (noOwners) Owned(string, Owner) []string     { return nil }
func (noOwners) OwnedOf([]string, Owner) []string { return nil }

// selectorOf is whom the target means in this namespace. Whose they are is asked before
// anything is done, so it may have changed by then; and whom the rooms and users had before
// that. Its error is the cause of ctx's end.
func (n *Namespace) selectorOf(ctx context.Context, to Target) (room.Selector, error) {
	sel, owners := to.Selector, n.server.opts.Owners
	switch {
	case to.Owner == Owner{}:
		return sel, nil
	case sel.All:
		return room.Selector{IDs: owners.Owned(n.name, to.Owner), Except: sel.Except}, nil
	}
	var ids []string
	scan := room.NewScan[*Socket](sel, 0, 0)
	for more := true; more; {
		var err error
		if more, err = n.next(ctx, scan, scanPiece, func(e *room.Entry[*Socket]) { ids = append(ids, e.Value.id) }); err != nil {
			return room.Selector{}, err
		}
	}
	return room.Selector{IDs: owners.OwnedOf(ids, to.Owner), Except: sel.Except}, nil
}
