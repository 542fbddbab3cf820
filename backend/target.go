package backend

import (
	"slices"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Target says which connections are meant. Rooms, IDs and Users are a union in
// which each connection counts once; Except takes the members of these rooms
// out of it, and an id is a room too. A Target that names nobody, and does not
// say All, is refused by the daemon.
type Target struct {
	Namespace string // empty: "/"
	Rooms     []string
	IDs       []string
	Users     []string
	Except    []string
	All       bool // every connection of the namespace

	// Owner leaves those alone that this consumer owns: see [Consumer.OnAssigned].
	Owner *fanoutv1.Target_Owner
}

// All means every connection of the default namespace.
func All() Target { return Target{All: true} }

// Rooms means the members of these rooms.
func Rooms(names ...string) Target { return Target{Rooms: names} }

// IDs means these connections: what clients see as socket.id.
func IDs(ids ...string) Target { return Target{IDs: ids} }

// Users means all connections of these users.
func Users(users ...string) Target { return Target{Users: users} }

// In returns the same target in another namespace.
func (t Target) In(namespace string) Target {
	t.Namespace = namespace
	return t
}

// Without returns the target without the members of these rooms; an id is a
// room, so that Without(e.ID) spares the sender of an [Event].
func (t Target) Without(rooms ...string) Target {
	t.Except = append(slices.Clip(t.Except), rooms...)
	return t
}

// OwnedBy returns those of the target that a consumer of a group owns.
func (t Target) OwnedBy(group, consumerID string) Target {
	t.Owner = &fanoutv1.Target_Owner{Group: group, ConsumerId: consumerID}
	return t
}

// Proto returns the target as the contract's message.
func (t Target) Proto() *fanoutv1.Target {
	return &fanoutv1.Target{
		Namespace: t.Namespace, Rooms: t.Rooms, Ids: t.IDs, Users: t.Users, Except: t.Except, All: t.All, Owner: t.Owner,
	}
}
