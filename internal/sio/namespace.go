package sio

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// Namespace is the one place where membership changes and where operations meet
// sockets. Each operation is one critical section.
type Namespace struct {
	server *Server
	name   string

	volatile VolatilePolicy

	lastAckID  atomic.Uint64 // ack id
	references int           // of a child: what keeps it in existence; guarded by namespaces.mu

	// readers counts the members that read each encoding. It changes under mu.
	readers [encodings]atomic.Int32

	recovery *recovery // nil: none

	mu      sync.Mutex
	members *room.Registry[*Socket]
	watches watchIndex
	// recipients are those of the emit that has mu.
	recipients recipients
}

// newNamespace returns an empty namespace; see [recovery] for what else it may
// have.
func newNamespace(s *Server, name string) *Namespace {
	n := &Namespace{server: s, name: name, members: room.New[*Socket]()}
	n.members.Observe(n.observer())
	return n
}

// observer tells the server's Interest of the sets of one registry; nil: there is none
// to be told.
func (n *Namespace) observer() func(kind room.Kind, name string, there bool) {
	if n.server.opts.Interest == nil {
		return nil
	}
	return func(kind room.Kind, name string, there bool) {
		n.server.opts.Interest.Changed(kind, n.name, name, there)
	}
}

// connected is the reply to a CONNECT.
func (n *Namespace) connected(s *Socket) []*engineio.Message {
	reply, _ := json.Marshal(struct { // strings cannot fail
		SID string `json:"sid"`
		PID string `json:"pid,omitempty"`
	}{s.id, s.pid})
	return s.conn.encode(parser.Connect, n.name, reply)
}

// add makes s a member and queues the reply to its CONNECT.
func (n *Namespace) add(s *Socket, a *Admission) {
	if n.recovery != nil && !s.conn.old() {
		s.pid = engineio.NewID(n.server.mark)
	}
	reply := n.connected(s)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addLocked(s, a, reply)
	s.admitted, s.granted = a.User, a.Rooms
	if n.recovery != nil {
		next := n.recovery.log.next()
		s.history = &eventHistory{joined: next, roomsChanged: next}
	}
	n.changedLocked(Change{Kind: ConnectionAdded, Socket: s})
}

// addLocked makes s a member and sends it what comes first, in one step: no
// operation finds the socket before the client can know its id.
func (n *Namespace) addLocked(s *Socket, a *Admission, first []*engineio.Message) {
	n.server.counters.joined.Add(1)
	n.readers[s.encoding].Add(1)
	s.recovering = nil
	s.entry = n.members.Add(s.id, a.User, s)
	s.user.Store(userOf(a.User))
	s.conn.presence.join(s)
	for _, name := range a.Rooms {
		n.members.Join(s.entry, name)
	}
	s.data = a.Data
	s.expireLocked(a.Expire)
	s.conn.session.Send(first...)
}

// remove ends s's membership and reports whether it was a member.
func (n *Namespace) remove(s *Socket, reason string) bool {
	defer n.server.retention.evict()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.removeLocked(s, reason, "")
}

func (n *Namespace) removeLocked(s *Socket, reason string, by Actor) bool {
	if s.gone.Swap(true) {
		return false
	}
	n.server.counters.ended.Add(reason, 1)
	s.rooms = s.entry.Rooms()
	if n.recovery != nil {
		n.recovery.keepLocked(s, reason)
	}
	n.members.Remove(s.entry)
	s.conn.presence.leave(s)
	n.readers[s.encoding].Add(-1)
	s.endPendingAcksLocked()
	n.server.namespaces.release(n)
	s.stopExpiryLocked()
	n.changedLocked(Change{Kind: ConnectionRemoved, Socket: s, Reason: reason, By: by})
	return true
}

func (n *Namespace) size() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.members.Len()
}

// emit encodes the event, which has this number, and queues it for every socket of the
// target. queued is the event in one of its encodings, nil if nobody was sent it.
func (n *Namespace) emit(o Emit, number uint64) (_ Result, queued []*engineio.Message, err error) {
	began := time.Now()
	send := (*engineio.Session).Send
	switch {
	case o.Volatile && n.volatile == DropOldest:
		send = (*engineio.Session).SendLatest
	case o.Volatile:
		send = (*engineio.Session).SendVolatile
	case o.ConflateKey != "":
		send = (*engineio.Session).SendConflated
	}
	out := n.outgoing(&o)
	var l *logged
	if n.recovery != nil && number > 0 {
		l = n.recovery.logged(&o, number, out)
	}
	matched := 0
	err = n.deliver(out, o.To.Selector, func(msgs *messages) {
		queued = msgs.any()
		if l != nil {
			n.recovery.appendLocked(l, msgs)
		}
		toOne := func(s *Socket) {
			if l != nil {
				s.history.lastOffset = l.offset // also if it is not sent: it was meant to be
			}
			if send(s.session, msgs[s.encoding]...) {
				matched++
			}
		}
		n.members.Select(o.To.Selector, func(e *room.Entry[*Socket]) { n.recipients.add(e.Value, toOne) })
		n.recipients.finish(toOne)
	})
	if err != nil {
		return Result{}, nil, err
	}
	if l != nil {
		n.server.retention.evict()
	}
	n.server.counters.countEmit(began)
	n.server.counters.sent.Add(uint64(matched))
	if matched == 0 {
		queued = nil
	}
	return Result{Matched: matched, Number: number}, queued, nil
}

// selectLocked returns the target's members in a slice, for operations that
// change memberships.
func (n *Namespace) selectLocked(sel room.Selector) []*Socket {
	var all []*Socket
	n.members.Select(sel, func(e *room.Entry[*Socket]) { all = append(all, e.Value) })
	return all
}

// join puts all into their rooms, or none if one may not be in so many.
func (n *Namespace) join(o Join) (matched int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	sockets := n.selectLocked(o.To.Selector)
	for _, s := range sockets {
		if !n.members.Fits(s.entry, o.Rooms, n.server.opts.MaxRooms) {
			return 0, ErrTooManyRooms
		}
	}
	for _, s := range sockets {
		n.changeRoomsLocked(s, ConnectionJoined, o.Rooms, o.By, n.members.Join)
	}
	n.discardOfflineLocked(o.To.Selector)
	return len(sockets), nil
}

func (n *Namespace) leave(o Leave) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	sockets := n.selectLocked(o.To.Selector)
	for _, s := range sockets {
		n.changeRoomsLocked(s, ConnectionLeft, o.Rooms, o.By, n.members.Leave)
	}
	n.discardOfflineLocked(o.To.Selector)
	return len(sockets)
}

// noteRoomsChangedLocked notes that the rooms of s have changed, or its user: which events
// are meant for it.
func (s *Socket) noteRoomsChangedLocked() {
	if r := s.nsp.recovery; r != nil {
		s.history.roomsChanged = r.log.next()
	}
}

// discardOfflineLocked removes the offline sessions that an operation selects; see
// [recovery.discardLocked].
func (n *Namespace) discardOfflineLocked(sel room.Selector) {
	if n.recovery != nil {
		n.recovery.discardLocked(sel)
	}
}
