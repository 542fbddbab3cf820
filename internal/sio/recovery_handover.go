package sio

import (
	"slices"
	"time"
)

// A server that ends hands the connections that were cut off from it, and whose clients
// have not come back yet, over to another: many at once, in the steps of a move, and
// without knowing which events each client has. So they take along what of the log is
// about them.

// Handover is connections that one server hands over to another.
type Handover struct {
	Sessions []HandedOver
	Events   []MissedEvent // what Sessions mean by their indexes
	// Known are those of the events that the asker named which it had.
	Known []Origin
}

// HandedOver is one of them.
type HandedOver struct {
	OfflineSession
	LastOffset string // of the last event that was meant for it; empty: none
	// Events are those that were meant for it, in order, as far back as that is known; the
	// first Cut of them came before it was cut off; negative: that and more is forgotten.
	Events []int
	Cut    int
	Whole  bool   // Events has all since it joined
	Before string // the offset of what came just before Events; empty: that is not known
}

// Bounds of one handover.
const (
	handoverSessions = 1000
	// handoverBytes bounds the events of all, sessionBytes those of one connection: what is
	// older is forgotten.
	handoverBytes = 8 << 20
	sessionBytes  = 1 << 20
)

// ClaimAll is ClaimOffline for up to a thousand connections of a namespace, whatever
// their clients have.
func (s *Server) ClaimAll(namespace string) (all []OfflineSession) {
	r := s.recoveryOf(namespace)
	if r == nil {
		return nil
	}
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	now := time.Now()
	r.pruneLocked(now)
	for e := r.order.Back(); e != nil && len(all) < handoverSessions; e = e.Prev() {
		o := e.Value.(*offlineSession)
		if o.claimed || !o.isReported() {
			continue
		}
		o.claimed = true
		o.claim = r.nsp.server.claims.Add(1)
		all = append(all, r.exportLocked(o))
	}
	return all
}

// isReported reports whether the backend has heard of the end.
func (o *offlineSession) isReported() bool {
	select {
	case <-o.reported:
		return true
	default:
		return false
	}
}

// TakeAll is TakeOffline for connections that ClaimAll has claimed. Those that it cannot
// hand over at once are released, and those whose claim does not stand left out.
func (s *Server) TakeAll(namespace string, claims []OfflineSession, have []Origin) Handover {
	r := s.recoveryOf(namespace)
	if r == nil {
		return Handover{}
	}
	h := &handover{recovery: r, index: map[*logged]int{}}
	entries := h.begin(claims)
	for _, p := range h.parts {
		p.read(entries, h.position)
	}
	h.position += uint64(len(entries))
	h.trim()
	for !h.end() {
		for _, p := range h.parts {
			p.read(h.unread, h.position-uint64(len(h.unread)))
		}
	}
	return h.export(r.knownOf(entries, h.pasts(), have))
}

// handover is one TakeAll.
type handover struct {
	recovery *recovery
	parts    []*handoverPart
	position uint64    // up to which the log has been read
	unread   []*logged // read, and not looked at
	index    map[*logged]int
}

// handoverPart is one connection of it.
type handoverPart struct {
	o       *offlineSession
	session OfflineSession
	events  []*logged
	start   uint64 // position from which on events are known
	cut     int
	whole   bool
	before  string
}

// pasts returns what the connections were handed over with before, each once.
func (h *handover) pasts() (all []*past) {
	seen := map[*past]bool{nil: true}
	for _, p := range h.parts {
		if !seen[p.o.past] {
			seen[p.o.past] = true
			all = append(all, p.o.past)
		}
	}
	return all
}

// begin finds the connections, and returns the log.
func (h *handover) begin(claims []OfflineSession) []*logged {
	r := h.recovery
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	for _, c := range claims {
		o := r.pids[c.PID]
		if o == nil || !o.claimed || o.claim != c.Claim {
			continue
		}
		if o.past != nil && o.endPosition < r.log.first {
			r.removeLocked(o, RecoveryEvicted) // what it missed here is not known any more
			continue
		}
		p := &handoverPart{o: o, session: r.exportLocked(o)}
		if o.past != nil {
			p.start, p.events = o.endPosition, slices.Clone(o.past.events)
			p.cut, p.whole, p.before = o.past.cut, o.past.whole, o.past.before
		} else {
			p.start = max(o.history.joined, o.history.roomsChanged, r.log.first)
			if p.start == o.history.joined {
				p.before, p.whole = o.history.before, o.history.before == ""
			} else if p.start > r.log.first {
				p.before = r.log.entries[p.start-r.log.first-1].offset
			}
			if o.endPosition < r.log.first {
				p.cut = -1
			}
		}
		h.parts = append(h.parts, p)
	}
	h.position = r.log.first
	return slices.Clone(r.log.entries)
}

// read looks at entries of the log, the first of which is at a position.
func (p *handoverPart) read(entries []*logged, position uint64) {
	for i, l := range entries {
		at := position + uint64(i)
		if at < p.start || !p.o.wantsHere(l, p.o.rooms) {
			continue
		}
		p.events = append(p.events, l)
		if p.o.past == nil && at < p.o.endPosition {
			p.cut = len(p.events)
		}
	}
}

// trim forgets what is too much, and releases whom there is no room for.
func (h *handover) trim() {
	var total int64
	for i, p := range h.parts {
		total += p.trim(h.index)
		if total > handoverBytes && i > 0 {
			for _, late := range h.parts[i:] {
				h.recovery.release(late.o.pid, late.o.claim)
			}
			h.parts = h.parts[:i]
			return
		}
		for _, l := range p.events {
			h.index[l] = 0
		}
	}
}

// trim forgets the connection's oldest events, and returns the bytes of those that are not
// in the index yet.
func (p *handoverPart) trim(index map[*logged]int) (more int64) {
	var size int64
	for i := len(p.events) - 1; i >= 0; i-- {
		l := p.events[i]
		if size += l.size; size > sessionBytes {
			p.before, p.whole = l.offset, false
			p.events = p.events[i+1:]
			p.cut = max(p.cut-i-1, -1)
			break
		}
		if _, there := index[l]; !there {
			more += l.size
		}
	}
	return more
}

// end removes the connections once the log has been read to its end, or is false: then what
// is unread is to be looked at.
func (h *handover) end() bool {
	r := h.recovery
	r.nsp.mu.Lock()
	defer r.nsp.mu.Unlock()
	tail, known := r.log.from(h.position)
	if !known { // it was evicted before it could be looked at
		for _, p := range h.parts {
			r.removeLocked(p.o, RecoveryEvicted)
		}
		h.parts = nil
		return true
	}
	position := h.position
	h.position = r.log.next()
	if len(tail) > fewEvents {
		h.unread = slices.Clone(tail)
		return false
	}
	h.parts = slices.DeleteFunc(h.parts, func(p *handoverPart) bool {
		if p.o.entry == nil { // an operation has changed it meanwhile
			return true
		}
		p.read(tail, position)
		r.removeLocked(p.o, moved)
		return false
	})
	return true
}

// export is the handover for the other server.
func (h *handover) export(known []Origin) Handover {
	clear(h.index)
	out := Handover{Known: known}
	for _, p := range h.parts {
		s := HandedOver{OfflineSession: p.session, LastOffset: p.o.history.lastOffset, Cut: p.cut, Whole: p.whole, Before: p.before}
		for _, l := range p.events {
			i, there := h.index[l]
			if !there {
				i = len(out.Events)
				h.index[l] = i
				out.Events = append(out.Events, h.recovery.missedEvent(l))
			}
			s.Events = append(s.Events, i)
		}
		out.Sessions = append(out.Sessions, s)
	}
	return out
}

// OfflineNamespaces returns the namespaces that connections were cut off from, and may
// come back to.
func (s *Server) OfflineNamespaces() (names []string) {
	for _, n := range s.namespaces.all() {
		if n.recovery == nil {
			continue
		}
		n.mu.Lock()
		if len(n.recovery.pids) > 0 {
			names = append(names, n.name)
		}
		n.mu.Unlock()
	}
	return names
}
