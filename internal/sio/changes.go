package sio

import "github.com/fanoutd/fanoutd/internal/sio/room"

// Actor names who asked for a change, for those who hear of it to know their own from
// others'. It means nothing else. Empty: nobody who said so, a browser or the server.
type Actor string

// ChangeKind says what has changed.
type ChangeKind int

// The kinds of a [Change].
const (
	// ConnectionAdded: it is a member of its namespace. The Backend hears of it next.
	ConnectionAdded ChangeKind = iota
	// ConnectionRemoved: it is a member no more. The Backend hears of it later.
	ConnectionRemoved
	// ConnectionJoined: it has joined rooms.
	ConnectionJoined
	// ConnectionLeft: it has left rooms.
	ConnectionLeft
	// ConnectionUpdated: it has other data, another user, or another time at which its
	// authorisation runs out.
	ConnectionUpdated
)

// Change is what has become of one connection.
type Change struct {
	Kind   ChangeKind
	Socket *Socket
	Rooms  []string // that it joined or left, each once; read only
	Reason string   // of its end
	User   *string  // the user that it had, if it has another; nil: it has the same
	By     Actor

	view *Connection // as it is shown to watches; nil: to none yet
	size int         // of that
}

// ChangeListener hears what becomes of connections.
type ChangeListener interface {
	// Listens reports whether there is any reason to call Changed. It is called under the
	// lock of the namespace, often.
	Listens() bool
	// Changed is called after each change, in their order, under the lock of the
	// namespace: it touches memory, takes no lock but leaves, and asks c.Socket for
	// nothing but ID, Namespace and Left. c is valid until it returns, and what it
	// refers to beyond that. What a change leaves as it was is not told; data that are
	// set anew count as changed.
	Changed(c *Change)
}

// heardLocked reports whether anybody hears of changes.
func (n *Namespace) heardLocked() bool {
	return n.listens() || len(n.watches.all) > 0
}

func (n *Namespace) listens() bool {
	l := n.server.opts.ChangeListener
	return l != nil && l.Listens()
}

// changedLocked tells of a change that has been made.
func (n *Namespace) changedLocked(c Change) {
	if !n.heardLocked() {
		return
	}
	if n.listens() {
		n.server.opts.ChangeListener.Changed(&c)
	}
	n.watches.changed(&c)
}

// changeRoomsLocked has s join or leave rooms, as change does with one of them and reports
// whether that changed anything, and tells of those that did.
func (n *Namespace) changeRoomsLocked(s *Socket, kind ChangeKind, rooms []string, by Actor, change func(*room.Entry[*Socket], string) bool) {
	heard, changed := n.heardLocked(), 0
	var some []string // those that changed, once there is one that did not
	for i, name := range rooms {
		switch ok := change(s.entry, name); {
		case ok && some != nil:
			some = append(some, name)
			fallthrough
		case ok:
			changed++
		case heard && some == nil:
			some = append(make([]string, 0, len(rooms)), rooms[:i]...)
		}
	}
	if changed == 0 {
		return
	}
	s.noteRoomsChangedLocked()
	if some == nil {
		some = rooms
	}
	if heard {
		n.changedLocked(Change{Kind: kind, Socket: s, Rooms: some, By: by})
	}
}
