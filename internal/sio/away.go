package sio

import (
	"container/list"
	"slices"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// away is a connection that was cut off and may come back as what it was.
type away struct {
	// Fixed at birth.
	pid     string // the client's secret; who knows it may come back
	id      string
	user    string
	rooms   []string // sorted
	granted []string // those of them that its admission gave it, and others that it has left
	data    map[string]any
	trail   trail
	cut     uint64 // position in the log when it was cut
	until   time.Time
	size    int64         // bytes
	heard   chan struct{} // closed when the backend has heard of the end

	number uint64 // see Socket.Number; belongs to whoever ended it, then to whoever has claimed it

	// Guarded by Namespace.mu.
	entry   *room.Entry[*away] // so that operations find it; nil: dropped
	place   *list.Element      // in recovery.order
	claimed bool               // its client is here and being decided on
}

// trail is what is known of the events that a socket was sent. Namespace.mu
// guards it.
type trail struct {
	since uint64 // position in the log when it joined
	moved uint64 // position when its rooms changed last
	last  uint64 // offset of the last event that was meant for it; 0: none
}

// reasons after which a connection may come back: those of the reference
// (socket.io/lib/socket.ts, RECOVERABLE_DISCONNECT_REASONS) that leave a server
// to come back to, and the end of an authorisation, since coming back asks anew.
func recoverable(reason string) bool {
	switch reason {
	case string(engineio.ReasonTransportError), string(engineio.ReasonTransportClose), string(engineio.ReasonForcedClose),
		string(engineio.ReasonPingTimeout), string(engineio.ReasonForcedServer), ReasonExpired:
		return true
	}
	return false
}

// awayOverhead is what a connection that is away costs beyond its bytes, about.
const awayOverhead = 1000

func newAway(s *Socket, cut uint64, until time.Time) *away {
	w := &away{
		pid: s.pid, id: s.id, user: s.entry.User(), rooms: s.entry.Rooms(), granted: s.granted, data: s.data,
		trail: s.trail, cut: cut, until: until, heard: make(chan struct{}),
	}
	w.size = awayOverhead + weigh(w.data)
	for _, name := range w.rooms {
		w.size += 2*int64(len(name)) + 100
	}
	return w
}

// weigh is about what JSON-like values cost in memory, in bytes.
func weigh(v any) int64 {
	n := int64(16)
	switch v := v.(type) {
	case string:
		n += int64(len(v))
	case []any:
		for _, e := range v {
			n += weigh(e)
		}
	case map[string]any:
		for name, e := range v {
			n += 32 + int64(len(name)) + weigh(e)
		}
	}
	return n
}

// start returns the position from which on w may have missed events, given the
// offset of the last one that its client has, 0 if none. It is false if that
// cannot be known: the event is too old, or rooms changed after it, so that it
// is not known which of those that were on their way were meant for w.
func (w *away) start(g *eventLog, offset uint64) (position uint64, ok bool) {
	if offset == w.trail.last {
		return w.cut, true // nothing was on its way
	}
	position = w.trail.since
	if offset != 0 {
		if position, ok = g.after(offset); !ok {
			return 0, false
		}
	}
	return position, position >= w.trail.moved
}

// wants reports whether an event with this selector was meant for w while it was
// in these rooms.
func (w *away) wants(sel *room.Selector, rooms []string) bool {
	in := func(name string) bool {
		_, ok := slices.BinarySearch(rooms, name)
		return ok
	}
	meant := sel.All || slices.Contains(sel.IDs, w.id) || w.user != "" && slices.Contains(sel.Users, w.user) ||
		slices.ContainsFunc(sel.Rooms, in)
	return meant && !slices.ContainsFunc(sel.Except, in)
}

// regain returns the rooms of w when it comes back with this admission: those
// that backends put it into, and those that it is granted now. Of the latter
// only those that it had before are old, and count for what it missed.
func (w *away) regain(a *Admission) (all, old []string) {
	all = slices.DeleteFunc(slices.Clone(w.rooms), func(name string) bool { return slices.Contains(w.granted, name) })
	all = append(all, a.Rooms...)
	for _, name := range w.rooms {
		if slices.Contains(all, name) {
			old = append(old, name)
		}
	}
	return all, old
}
