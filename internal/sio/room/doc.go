// Package room is the membership index of one namespace: which members exist,
// under which id and user, and who is in which room.
//
// It is pure: no lock, no goroutine, no I/O. The caller serialises every call,
// selections included, for they leave marks in the entries. It knows nothing
// of sockets: a member is a value of the caller's choosing.
//
// Rooms are walked far more often than they change, so a room is a slice, and
// a selection walks slices and allocates nothing. Each slot of that slice and
// each membership of an entry knows the other's position; that is what makes
// joining, leaving and removing cost the same in a room of ten as of ten
// thousand.
//
// Nearly every member is alone in the room of its own id. That room is no set, and takes no
// memory but the member's place in the order of names, until somebody else joins it.
//
// For counting and listing there are indexes in order: of the members of every
// larger set by sequence number, and of the rooms by name.
// So a piece of a large set costs no more than the piece; see [Scan].
package room
