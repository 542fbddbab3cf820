package sio

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
)

// claim returns the connection with this pid, whose client has the events up to the
// offset; it may have to be moved here. Nobody else can claim it until unclaim. It waits
// a little for the backend to hear of the connection's end, but not past the end of ctx.
// The error is why there is none; see [resultOf].
func (r *recovery) claim(ctx context.Context, pid, offset string) (*offlineSession, error) {
	o, err := r.find(pid, offset)
	if err == nil && !r.awaitReport(o, ctx.Done()) {
		err = ErrBusy
	}
	switch lost := (*LostError)(nil); {
	case err == nil:
		return o, nil
	case errors.As(err, &lost):
		return nil, err
	case r.nsp.server.opts.Others != nil:
		return r.claimElsewhere(ctx, pid, offset)
	case errors.Is(err, ErrNotFound) && engineio.EpochOf(pid) != r.nsp.server.mark:
		return nil, &LostError{RecoveryNodeGone}
	}
	return nil, err
}

// maxWanted bounds a pid and an offset, in bytes. Both are far shorter; what clients make up
// is not told to other servers.
const maxWanted = 100

// wanted reads what the data of a CONNECT packet ask for: the pid of the connection that
// the client was, and the offset of the last event that it has. No pid: nothing.
func wanted(auth []byte) (pid, offset string) {
	var said struct{ PID, Offset string }
	if len(auth) == 0 || json.Unmarshal(auth, &said) != nil || max(len(said.PID), len(said.Offset)) > maxWanted {
		return "", ""
	}
	return said.PID, said.Offset
}

// awaitReport waits a little, and not past done, until the backend has heard of the end of
// o, which was claimed: it hears of that before it hears of the return. It is false, and o
// is not claimed any more, if that takes longer.
func (r *recovery) awaitReport(o *offlineSession, done <-chan struct{}) bool {
	limit := time.NewTimer(r.nsp.server.hold)
	defer limit.Stop()
	select {
	case <-o.reported:
		return true
	case <-done:
	case <-limit.C:
	}
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	r.unclaimLocked(o)
	return false
}

// find claims the connection with this pid. Errors: [ErrNotFound], [ErrBusy] if somebody
// has claimed it, and a [*LostError].
func (r *recovery) find(pid, offset string) (*offlineSession, error) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	r.pruneLocked(time.Now())
	o := r.pids[pid]
	switch {
	case o == nil:
		return nil, r.nsp.server.losses.of(pid)
	case o.claimed:
		return nil, ErrBusy
	case !time.Now().Before(o.until): // and not pruned yet
		r.removeLocked(o, RecoveryExpired)
		return nil, &LostError{RecoveryExpired}
	}
	if _, _, why := o.missedFrom(&r.log, offset); why != Recovered {
		r.removeLocked(o, why) // its client will not say anything better
		return nil, &LostError{why}
	}
	o.claimed, o.away = true, false
	o.claim = r.nsp.server.claims.Add(1)
	return o, nil
}

// unclaim lets o, which was not resumed, be claimed again. number is the last
// that was given to what happened to it.
func (r *recovery) unclaim(o *offlineSession, number uint64) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	o.number = number
	r.unclaimLocked(o)
}

func (r *recovery) unclaimLocked(o *offlineSession) {
	o.claimed = false
	if o.entry == nil {
		r.loseLocked(o) // meanwhile
	}
}

// fewEvents may be looked at under the lock; more than that are copied first.
const fewEvents = 100

// missed is what a client that comes back has missed, read from the log in pieces.
type missed struct {
	position uint64    // up to which the log has been read
	events   []*logged // that were meant for it

	// To be done outside the lock.
	before  []*logged // of another server, and not looked at
	unread  []*logged // read, and not looked at
	lacking []*logged // of the events: not encoded as the client reads

	refused Recovery // why; see resumption
}

// resumption is how an attempt to resume ended.
type resumption int

const (
	resumed resumption = iota
	refused            // the connection or what it missed is gone, or that is too much
	behind             // something is to be done outside the lock first
)

// resume makes s, which was admitted, a member in o's place: with its rooms and
// data, and what it missed sent before the reply to its CONNECT
// (socket.io/lib/socket.ts, constructor). Unless it returns Recovered nothing has been
// done: it returns why, if o is gone or what it missed is gone, or too much to send at once.
func (r *recovery) resume(s *Socket, o *offlineSession, offset string, a *Admission) Recovery {
	defer r.nsp.server.retention.evict()
	// So that events which come meanwhile are encoded as it reads.
	r.nsp.readers[s.encoding].Add(1)
	defer r.nsp.readers[s.encoding].Add(-1)
	rooms, old := o.roomsOnReturn(a)
	admission := Admission{User: o.user, Rooms: rooms, Data: a.Data, Expire: a.Expire}
	if o.data != nil {
		admission.Data = maps.Clone(o.data)
		maps.Copy(admission.Data, a.Data)
	}
	reply := r.nsp.connected(s)
	s.admitted, s.granted = a.User, a.Rooms // before anybody can find it
	m, why := r.begin(o, offset)
	for why == Recovered {
		m.look(o, old)
		if !r.encode(m.lacking, s.encoding) {
			return RecoveryTooMuch
		}
		switch r.tryResume(s, o, m, old, &admission, reply) {
		case resumed:
			return Recovered
		case refused:
			return m.refused
		case behind:
		}
	}
	return why
}

// begin returns the beginning of what o missed, or why it is not known.
func (r *recovery) begin(o *offlineSession, offset string) (*missed, Recovery) {
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	before, position, why := o.missedFrom(&r.log, offset)
	return &missed{before: before, position: position}, why
}

// look looks at what has been read, for o, which was in these rooms.
func (m *missed) look(o *offlineSession, rooms []string) {
	for _, l := range m.before {
		if o.wants(&l.to, rooms) {
			m.events = append(m.events, l)
		}
	}
	for _, l := range m.unread {
		if o.wantsHere(l, rooms) {
			m.events = append(m.events, l)
		}
	}
	m.before, m.unread = nil, nil
}

// readLocked reads what the log has beyond the position, and looks at it if that is
// little; else it is to be looked at outside the lock.
func (m *missed) readLocked(g *eventLog, o *offlineSession, rooms []string) resumption {
	events, ok := g.from(m.position)
	switch {
	case o.entry == nil:
		m.refused = o.lost
		return refused
	case !ok:
		m.refused = RecoveryEvicted
		return refused
	}
	m.position += uint64(len(events))
	if len(events) > fewEvents {
		m.unread = slices.Clone(events)
		return behind
	}
	m.unread = events
	m.look(o, rooms)
	return resumed
}

// tryResume is resume once m has been read up to a little before the end of the
// log, and encoded.
func (r *recovery) tryResume(s *Socket, o *offlineSession, m *missed, old []string, a *Admission, reply []*engineio.Message) resumption {
	n := r.nsp
	n.mu.Lock()
	defer n.mu.Unlock()
	m.lacking = nil
	if at := m.readLocked(&r.log, o, old); at != resumed {
		return at
	}
	if m.lacking = lackLocked(m.events, s.encoding); m.lacking != nil {
		return behind
	}
	history := o.history
	var first []*engineio.Message
	for _, l := range newest(m.events) {
		first = append(first, l.msgs[s.encoding]...)
		history.lastOffset = l.offset
	}
	first = append(first, reply...)
	// Half of it: other namespaces want to send too.
	if !engineio.Fits(n.server.engine.Options().MaxQueue/2, first...) {
		m.refused = RecoveryTooMuch
		return refused
	}
	r.removeLocked(o, moved)
	n.addLocked(s, a, first)
	if !slices.Contains(o.rooms, s.id) { // a member may leave its own room
		n.members.Leave(s.entry, s.id)
	}
	if !slices.Equal(s.entry.Rooms(), o.rooms) {
		history.roomsChanged = r.log.next()
	}
	if o.past != nil { // which is forgotten: who lacks some of that cannot say of what
		history.joined, history.roomsChanged, history.before = r.log.next(), r.log.next(), history.lastOffset
	}
	s.history = &history
	n.changedLocked(Change{Kind: ConnectionAdded, Socket: s})
	return resumed
}

// newest returns those of the events that no later one with the same key replaces, in
// their order.
func newest(events []*logged) []*logged {
	if !slices.ContainsFunc(events, func(l *logged) bool { return l.out.key != "" }) {
		return events
	}
	seen := map[string]bool{}
	var left []*logged
	for _, l := range slices.Backward(events) {
		if l.out.key == "" || !seen[l.out.key] {
			left = append(left, l)
		}
		seen[l.out.key] = true
	}
	slices.Reverse(left)
	return left
}

// lackLocked returns those of the events that lack an encoding.
func lackLocked(events []*logged, e parser.Encoding) (lacking []*logged) {
	for _, l := range events {
		if l.msgs[e] == nil {
			lacking = append(lacking, l)
		}
	}
	return lacking
}

// encode adds an encoding to events that lack it. It is false if one cannot be
// encoded.
func (r *recovery) encode(lacking []*logged, e parser.Encoding) bool {
	if len(lacking) == 0 {
		return true
	}
	made := make([][]*engineio.Message, len(lacking))
	var err error
	for i, l := range lacking {
		if made[i], err = l.out.encode(e); err != nil {
			break
		}
	}
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	for i, l := range lacking {
		r.accountLocked(l.encoded(e, made[i]))
	}
	return err == nil
}
