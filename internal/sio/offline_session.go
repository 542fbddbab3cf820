package sio

import (
	"container/list"
	"encoding/json"
	"slices"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// offlineSession is a connection that was cut off and is kept because its client
// may come back as that connection. The reference calls it a Session
// (socket.io-adapter/lib/in-memory-adapter.ts).
type offlineSession struct {
	// Immutable.
	pid         string // the client's secret; who knows it may come back
	id          string
	user        string
	rooms       []string // sorted
	granted     []string // those of them that its admission gave it, and others that it has left
	data        map[string]any
	history     eventHistory
	endPosition uint64 // position in the log when it was cut off
	until       time.Time
	size        int64         // bytes
	reported    chan struct{} // closed when the backend has heard of the end

	number uint64 // see Socket.Number; belongs to the goroutine that ended it, then to the one that claimed it

	// Guarded by Namespace.mu.
	entry   *room.Entry[*offlineSession] // so that operations find it; nil: removed
	place   *list.Element                // in recovery.order
	claimed bool                         // its client is here and being decided on
}

// eventHistory is what is known of the events that a socket was sent. Namespace.mu
// guards it.
type eventHistory struct {
	joined       uint64 // position in the log when it joined
	roomsChanged uint64 // position when its rooms changed last
	lastOffset   string // offset of the last event that was meant for it; empty: none
}

// recoverable reports whether a connection that ended so may come back: after those
// reasons of the reference
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

// offlineOverhead is what an offline session costs beyond its bytes, about.
const offlineOverhead = 1000

func newOfflineSession(s *Socket, end uint64, until time.Time) *offlineSession {
	o := &offlineSession{
		pid: s.pid, id: s.id, user: s.user, rooms: s.rooms, granted: s.granted, data: s.data,
		history: s.history, endPosition: end, until: until, reported: make(chan struct{}),
	}
	o.size = offlineOverhead + weigh(o.data)
	for _, name := range o.rooms {
		o.size += 2*int64(len(name)) + 100
	}
	return o
}

// weigh is about what JSON-like values cost in memory, in bytes.
func weigh(v any) int64 {
	n := int64(16)
	switch v := v.(type) {
	case string:
		n += int64(len(v))
	case json.Number:
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

// missedFrom returns the position from which on o may have missed events, given the
// offset of the last one that its client has, empty if none. It is false if that
// cannot be known: the event is too old, or rooms changed after it, so that it
// is not known which of those that were on their way were meant for o.
func (o *offlineSession) missedFrom(g *eventLog, offset string) (position uint64, ok bool) {
	if offset == o.history.lastOffset {
		return o.endPosition, true // nothing was on its way
	}
	position = o.history.joined
	if offset != "" {
		if position, ok = g.after(offset); !ok {
			return 0, false
		}
	}
	return position, position >= o.history.roomsChanged
}

// wants reports whether an event with this selector was meant for o while it was
// in these rooms.
func (o *offlineSession) wants(sel *room.Selector, rooms []string) bool {
	in := func(name string) bool {
		_, ok := slices.BinarySearch(rooms, name)
		return ok
	}
	meant := sel.All || slices.Contains(sel.IDs, o.id) || o.user != "" && slices.Contains(sel.Users, o.user) ||
		slices.ContainsFunc(sel.Rooms, in)
	return meant && !slices.ContainsFunc(sel.Except, in)
}

// roomsOnReturn returns the rooms of o when it comes back with this admission: those
// that backends put it into, and those that it is granted now. Of the latter
// only those that it had before are old, and count for what it missed.
func (o *offlineSession) roomsOnReturn(a *Admission) (all, old []string) {
	all = slices.DeleteFunc(slices.Clone(o.rooms), func(name string) bool { return slices.Contains(o.granted, name) })
	all = append(all, a.Rooms...)
	for _, name := range o.rooms {
		if slices.Contains(all, name) {
			old = append(old, name)
		}
	}
	return all, old
}
