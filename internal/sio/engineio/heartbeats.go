package engineio

import (
	"sync"
	"time"
)

// heartbeats are the sessions of a server by when each is to be looked at, with one timer
// for all. Pings that are due at nearly the same time go out together, each a slot's width
// before its time at most: so thousands of sessions wake the process a few times a
// second, and not each by itself. Whatever else is due is never
// early, and nothing is late.
type heartbeats struct {
	clock func() time.Duration
	beat  func(*Session) // called when a session's deadline has come, under no lock
	width time.Duration  // of a slot

	mu    sync.Mutex
	slots [heartbeatSlots]heartbeatSlot // of times in turn: no two of less than all turns apart share one
	timer *time.Timer
	next  time.Duration // when timer fires, by clock; 0: it does not
	spare []*Session    // room for those that are due
}

const (
	// heartbeatSlots times the width is a little more than the longest wait of a session
	// by default, which is for a ping and a pong of Engine.IO v3.
	heartbeatSlots = 128
	// heartbeatParts is how many slots there are to a ping interval: for one of 25 s each
	// is 0.4 s wide. A process that is woken costs more than what it was woken for: Go's
	// monitor looks around every 20 us for the next millisecond.
	heartbeatParts = 64
)

// heartbeatSlot is a list of sessions.
type heartbeatSlot struct {
	first *Session
	due   time.Duration // when the first of them is, or before: it may have left
}

func newHeartbeats(clock func() time.Duration, pingInterval time.Duration, beat func(*Session)) *heartbeats {
	return &heartbeats{clock: clock, beat: beat, width: max(pingInterval/heartbeatParts, 1)}
}

// set has beat called at the session's deadline, and not at the one before. The
// caller holds Session.mu. Exact says that it may not be called early.
func (b *heartbeats) set(s *Session, deadline time.Duration, exact bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removeLocked(s)
	s.heartbeat.deadline, s.heartbeat.exact = deadline, exact
	b.setTimerLocked(b.addLocked(s).due)
}

// unset has it not called any more. The caller holds Session.mu.
func (b *heartbeats) unset(s *Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removeLocked(s)
}

// addLocked puts a session into the slot of its deadline, or, if that is too far away,
// the one that is the furthest now, to be moved from there.
func (b *heartbeats) addLocked(s *Session) *heartbeatSlot {
	when := min(s.heartbeat.deadline, b.clock()+(heartbeatSlots-1)*b.width)
	i := int(when / b.width % heartbeatSlots)
	slot, p := &b.slots[i], &s.heartbeat
	if slot.first == nil || when < slot.due {
		slot.due = when
	}
	p.slot, p.next = int16(i+1), slot.first
	if p.next != nil {
		p.next.heartbeat.previous = s
	}
	slot.first = s
	return slot
}

func (b *heartbeats) removeLocked(s *Session) {
	p := &s.heartbeat
	if p.slot == 0 {
		return
	}
	if p.next != nil {
		p.next.heartbeat.previous = p.previous
	}
	if p.previous != nil {
		p.previous.heartbeat.next = p.next
	} else {
		b.slots[p.slot-1].first = p.next
	}
	p.previous, p.next, p.slot = nil, nil, 0
}

// setTimerLocked has the timer fire at a time, unless it does before: then that sets it anew.
func (b *heartbeats) setTimerLocked(at time.Duration) {
	if b.next > 0 && b.next <= at {
		return
	}
	b.next = at
	wait := max(at-b.clock(), 1)
	if b.timer == nil {
		b.timer = time.AfterFunc(wait, b.fire)
	} else {
		b.timer.Reset(wait)
	}
}

// before reports whether it is not yet time for what is due then.
func (b *heartbeats) before(deadline time.Duration, exact bool) bool {
	if !exact {
		deadline -= b.width
	}
	return b.clock() < deadline
}

// fire is the timer's function.
func (b *heartbeats) fire() {
	b.mu.Lock()
	due := b.takeLocked(b.clock())
	b.mu.Unlock()
	for i, s := range due {
		due[i] = nil
		b.beat(s)
	}
	b.mu.Lock()
	b.spare = due[:0]
	b.mu.Unlock()
}

// takeLocked removes the sessions that are due, and sets the timer for the others.
func (b *heartbeats) takeLocked(now time.Duration) (due []*Session) {
	due, b.spare, b.next = b.spare, nil, 0
	for i := range b.slots {
		if slot := &b.slots[i]; slot.first != nil && slot.due <= now {
			due = b.takeSlotLocked(slot, due)
		}
	}
	var first *heartbeatSlot
	for i := range b.slots {
		if slot := &b.slots[i]; slot.first != nil && (first == nil || slot.due < first.due) {
			first = slot
		}
	}
	if first != nil {
		b.setTimerLocked(first.due)
	}
	return due
}

// takeSlotLocked moves those of a slot that are due to a list.
func (b *heartbeats) takeSlotLocked(slot *heartbeatSlot, due []*Session) []*Session {
	s := slot.first
	slot.first = nil
	for s != nil {
		h := &s.heartbeat
		next := h.next
		h.previous, h.next, h.slot = nil, nil, 0
		if b.before(h.deadline, h.exact) {
			b.addLocked(s)
		} else {
			due = append(due, s)
		}
		s = next
	}
	return due
}
