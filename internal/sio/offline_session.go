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
	admitted    string   // the user that its admission named; see Changes.User
	rooms       []string // sorted
	granted     []string // those of them that its admission gave it, and others that it has left
	data        map[string]any
	history     eventHistory
	endPosition uint64 // position in the log when it was cut off
	until       time.Time
	size        int64         // bytes
	reported    chan struct{} // closed when the backend has heard of the end
	past        *past         // nil: it was cut off here; set once, before it can be claimed

	number uint64 // see Socket.Number; belongs to the goroutine that ended it, then to the one that claimed it

	// Guarded by Namespace.mu.
	entry   *room.Entry[*offlineSession] // so that operations find it; nil: removed
	place   *list.Element                // in recovery.order
	claimed bool                         // its client is being decided on, here or at another server
	claim   uint64                       // names the latest claim
	away    bool                         // it is claimed for another server
	moving  bool                         // it is another server's still, which tells of its end
	taken   bool                         // of one that moves: it is no more
	lost    Recovery                     // why it was removed; see recovery.removeLocked
	told    bool                         // the backend hears of that
}

// eventHistory is what is known of the events that a socket was sent. Namespace.mu
// guards it.
type eventHistory struct {
	joined       uint64 // position in the log when it joined, or was moved here
	before       string // offset of the last event that it was sent before; empty: none
	roomsChanged uint64 // position when its rooms or its user changed last
	lastOffset   string // offset of the last event that was meant for it; empty: none
}

// recoverable reports whether a connection that ended so may come back: after those
// reasons of the reference
// (socket.io/lib/socket.ts, RECOVERABLE_DISCONNECT_REASONS) that leave a server
// to come back to, and the end of an authorisation, since coming back asks anew.
func recoverable(reason string) bool {
	switch reason {
	case string(engineio.ReasonTransportError), string(engineio.ReasonTransportClose), string(engineio.ReasonForcedClose),
		string(engineio.ReasonPingTimeout), string(engineio.ReasonForcedServer), ReasonExpired, ReasonMaxAge, ReasonRebalance:
		return true
	}
	return false
}

// offlineOverhead is what an offline session costs beyond its bytes, about.
const offlineOverhead = 1000

func newOfflineSession(s *Socket, end uint64, until time.Time) *offlineSession {
	o := &offlineSession{
		pid: s.pid, id: s.id, user: *s.user.Load(), admitted: s.admitted, rooms: s.rooms, granted: s.granted, data: s.data,
		history: *s.history, endPosition: end, until: until, reported: make(chan struct{}),
	}
	o.weigh()
	return o
}

// weigh sets about what o costs, in bytes.
func (o *offlineSession) weigh() {
	o.size = offlineOverhead + weigh(o.data)
	for _, name := range o.rooms {
		o.size += 2*int64(len(name)) + 100
	}
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

// claimedHere reports whether a client of this server is being decided on as what it may
// come back as: then the backend hears of that end first. See [recovery.unclaim].
func (o *offlineSession) claimedHere() bool { return o.claimed && !o.away }

// past is what a connection that was cut off from another server may have missed
// there. It is immutable.
type past struct {
	events []*logged // in their order
	cut    int       // so many of them came before it was cut off; negative: some that came later are missing
	whole  bool      // they are all since it joined
	before string    // offset of what came just before them; empty: that is not known
	// known are events that this server may be sent too: those, and what the client has.
	known map[Origin]bool
}

// missedFrom returns what o may have missed at another server, and the position from
// which on it may have missed events here, given the offset of the last one that its
// client has, empty if none. If that cannot be known it returns why: the event is too old,
// or rooms changed after it, so that it is not known which of those that were on
// their way were meant for o; or some of what it missed was removed.
func (o *offlineSession) missedFrom(g *eventLog, offset string) (before []*logged, position uint64, why Recovery) {
	known := true
	switch {
	case o.past != nil:
		position = o.endPosition
		before, known = o.missedBefore(offset)
	case offset == o.history.lastOffset:
		position = o.endPosition // nothing was on its way
	case offset == o.history.before:
		position = o.history.joined
		known = position >= o.history.roomsChanged
	default:
		position, known = g.after(offset)
		known = known && position >= o.history.roomsChanged
	}
	switch {
	case !known:
		return nil, 0, RecoveryUnknownOffset
	case position < g.first:
		return nil, 0, RecoveryEvicted
	}
	return before, position, Recovered
}

// missedBefore is missedFrom for what another server sent.
func (o *offlineSession) missedBefore(offset string) ([]*logged, bool) {
	switch p := o.past; {
	case offset == o.history.lastOffset && p.cut >= 0:
		return p.events[p.cut:], true
	case offset == "" && p.whole, offset != "" && offset == p.before:
		return p.events, true
	}
	i := slices.IndexFunc(o.past.events, func(l *logged) bool { return l.offset == offset })
	if i < 0 {
		return nil, false
	}
	return o.past.events[i+1:], true
}

// wantsHere reports whether an event of this server's log is one that o, which was in
// these rooms, missed here, and not at another server too.
func (o *offlineSession) wantsHere(l *logged, rooms []string) bool {
	return o.wants(&l.to, rooms) && (o.past == nil || !o.past.known[l.origin])
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

// isOf reports whether a client that is admitted as this user may come back as o: it was
// admitted so before, or has become that user since.
func (o *offlineSession) isOf(user string) bool { return user == o.admitted || user == o.user }

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
