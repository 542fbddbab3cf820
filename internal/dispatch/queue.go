package dispatch

import (
	"container/list"
	"time"
)

// phase says what a queue waits for before its next delivery.
//
//	from               cause                                         to
//	idle (new)         an event is pushed; nobody serves it          unowned
//	idle, quiet        an event is pushed                            ready
//	ready              its turn: an event is delivered               ready, as the last in turn; or idle
//	idle               the last event is settled                     quiet
//	quiet              its owner has more than its share             quiet, with another owner
//	idle, quiet,       the owner drains, did not ask for the next    handingOver
//	  ready              event, or has more than its share
//	idle, quiet,       the owner ends                                ready, quiet or handingOver with another
//	  ready,                                                           owner; unowned
//	  handingOver
//	handingOver        all that was in flight is settled             the same
//	unowned            a subscription that serves it begins          ready
//	all but closed     a delivery is refused                         paused, also while owners change
//	paused             the pause is over                             as owner and events have it: unowned,
//	                                                                   handingOver, ready, idle or quiet
//	all but closed     it is removed: all is settled and the         closed
//	                     connection has ended; the connection was
//	                     not admitted; the group is removed
type phase int

const (
	idle        phase = iota // for an event: all there are are in flight, or one is, of an owner that takes one by one
	quiet                    // for an event: there is none, and another owner would do as well
	ready                    // for its turn among those of its owner
	paused                   // for the end of the pause that a refusal began
	handingOver              // for another owner: its own drains, has too many, or did not ask for what is next
	unowned                  // for a subscription that serves it
	closed                   // for nothing: it is not in group.queues any more
)

// item is an event in a queue. There are many: its fields lie close together.
type item struct {
	event *Event
	since time.Duration // when it came; see Dispatcher.age
	// delivered is when the latest delivery began, if it is traced; see Dispatcher.age.
	delivered time.Duration
	consumer  string // to which it was delivered last

	lastStrike DeathReason
	strikes    int32
	attempt    uint32 // deliveries so far
	refusals   int32
	suspect    suspicion
	acked      bool // out of order: an earlier one is still in flight
}

// queue is the event queue of one connection in one group. group.mu guards it.
type queue struct {
	group     *group
	id        string // of the connection
	namespace string

	phase       phase
	owner       *Subscription // nil: nobody serves it
	ended       bool          // the connection is gone: nothing is added any more
	client      *client       // the connection; nil: it is gone, or not known
	view        *view         // of the connection, once it has been a member; nil: it was none
	assigned    bool          // the owner has been told that it owns the connection, and not of its end
	coming      *list.Element // in owner.coming; nil: the owner need not be told
	changing    *list.Element // in owner.changing; nil: likewise
	shared      bool          // the owner is told of its own changes too
	knew        []string      // consumers that owned the connection before, and were told so
	told        bool          // its Connected is in the queue, has been or is held
	missed      bool          // its Connected was dropped
	pausedUntil time.Time
	pause       *time.Timer
	turn        *turns // of owner, in which it stands while phase is ready or quiet
	leaving     bool   // to another owner, since its own has more than its share
	prev, next  *queue // in turn

	ownedPrev, ownedNext *queue // in owner.owned

	awaitsAck          bool      // it stands in owner.acks
	ackWaitSince       time.Time // when that began
	waitPrev, waitNext *queue

	items []item // items[:sent] are in flight, the others wait
	sent  int
	bytes int // of all items

	untold int // items that introduce it and were never delivered

	oldest time.Duration // items[0].since; 0: there is none, and it is not in group.oldest
	place  int           // in group.oldest

	stuck            bool // its events were not settled in time; none has been since
	settledMeanwhile bool // one has been since the event that is held came

	held    *offer        // the connection's next event, for which there is no room yet; at most one
	waiting *list.Element // in load.waiting; nil: held waits for room in the queue itself
}

// enterLocked changes the phase, and with it the queue's place among its owner's.
func (q *queue) enterLocked(p phase) {
	if p == q.phase {
		return
	}
	if q.turn != nil {
		q.turn.remove(q)
		q.turn = nil
	}
	q.phase = p
	switch p {
	case ready:
		q.takeTurnLocked()
	case quiet:
		q.turn = &q.owner.quiet
		q.turn.add(q)
	}
}

// takeTurnLocked takes a place among those queues of the owner that are ready.
func (q *queue) takeTurnLocked() {
	s := q.owner
	if s.nextTurnLocked() == nil {
		s.watchdog.progressed() // it had nothing to do until now
	}
	q.turn = &s.turns
	if it := &q.items[q.sent]; it.suspect > 0 {
		q.turn = s.suspects.turnLocked(it)
	}
	q.turn.add(q)
	s.wake()
}

// advanceLocked enters the phase that owner and events give, unless the queue is
// paused or closed.
func (q *queue) advanceLocked() {
	q.noteOldestLocked()
	switch {
	case q.phase == paused, q.phase == closed:
	case q.owner == nil:
		q.enterLocked(unowned)
	case q.owner.draining, q.leaving, q.sent < len(q.items) && !q.owner.interest.wants(q.items[q.sent].event):
		q.enterLocked(handingOver)
	case q.sent < len(q.items) && (q.sent == 0 || !q.owner.options.OneByOne):
		q.enterLocked(ready)
	case len(q.items) == 0:
		q.enterLocked(quiet)
	default:
		q.enterLocked(idle)
	}
}

// pauseLocked stops deliveries for d from now on.
func (q *queue) pauseLocked(d time.Duration) {
	q.enterLocked(paused)
	q.pausedUntil = time.Now().Add(d)
	if q.pause != nil {
		q.pause.Stop()
	}
	q.pause = time.AfterFunc(d, q.resume)
}

// resume is the timer of a pause.
func (q *queue) resume() {
	q.group.mu.Lock()
	defer q.group.mu.Unlock()
	if q.phase != paused || time.Now().Before(q.pausedUntil) {
		return // of an earlier pause
	}
	q.enterLocked(idle)
	q.advanceLocked()
	q.moveLocked()
}

// moveLocked gives the queue to another owner if it is to have one, once nothing
// is in flight.
func (q *queue) moveLocked() {
	if q.phase == handingOver && q.sent == 0 {
		q.group.reassignLocked(q.loadLocked(), q)
	}
}

// nextLocked returns the event that is delivered next, nil if there is none.
func (q *queue) nextLocked() *Event {
	switch {
	case q.sent < len(q.items):
		return q.items[q.sent].event
	case q.held != nil:
		return q.held.event
	}
	return nil
}

func (q *queue) pushLocked(e *Event) {
	switch {
	case e.Kind == Message:
		q.introduceLocked()
	case e.Replayed():
	case e.Kind == Connected:
		q.told = true
	case e.Kind == Disconnected:
		q.told = false
	}
	q.items = append(q.items, q.group.newItem(e))
	q.countLocked(1, e.size)
	q.advanceLocked()
	q.moveLocked()
}

// countLocked adds events and their bytes to all that counts them.
func (q *queue) countLocked(events, bytes int) {
	q.bytes += bytes
	q.group.bytes += bytes
	ld := q.loadLocked()
	ld.bytes += bytes
	q.group.events += events
	q.group.emptiedLocked(ld)
}

// assignLocked gives the queue, none of whose events is in flight, to s; nil: to
// nobody.
func (q *queue) assignLocked(s *Subscription) {
	if q.phase != paused {
		q.enterLocked(idle) // it leaves its turn with the old owner
	}
	q.leaveWaitingLocked()
	q.stayLocked()
	q.loadLocked().bytes -= q.bytes
	q.loadLocked().untold -= q.untold
	q.group.emptiedLocked(q.loadLocked())
	if q.owner != nil {
		q.owner.owned.remove(q)
		if q.untold > 0 {
			q.owner.wake() // it may go on with its walk
		}
	}
	q.noteAssignedLocked(q.owner, s)
	q.passLocked(s)
	q.owner = s
	if s != nil {
		s.owned.add(q)
	}
	q.loadLocked().bytes += q.bytes
	q.loadLocked().untold += q.untold
	q.advanceLocked()
}

// closeLocked removes the queue and all it holds.
func (q *queue) closeLocked() {
	if q.phase == closed {
		return
	}
	q.enterLocked(closed)
	q.noteAssignedLocked(q.owner, nil)
	q.passLocked(nil)
	if q.pause != nil {
		q.pause.Stop()
	}
	if q.held != nil {
		q.releaseLocked().resolve(false)
	}
	q.countLocked(-len(q.items), -q.bytes)
	for i := range q.items {
		it := &q.items[i]
		q.toldOfLocked(it)
		if it.event.Kind == Connecting && !it.acked {
			close(it.event.verdict) // no verdict will come
		}
		if it.event.Replayed() && !it.acked {
			q.group.dispatcher.deadLetters.giveBack(it.event)
		}
	}
	if q.owner != nil {
		for _, it := range q.items[:q.sent] {
			if !it.acked {
				q.landLocked(&it)
			}
		}
		q.stayLocked()
		q.owner.owned.remove(q)
		q.owner.wake() // it may take others now, or be drained
		q.group.evenOutLocked()
	}
	q.items, q.sent = nil, 0
	q.noteOldestLocked()
	q.awaitAckLocked()
	delete(q.group.queues, q.id)
	q.group.relieveLocked(q.loadLocked())
}

// closeIfDoneLocked removes the queue when its connection has ended and all of
// it is settled.
func (q *queue) closeIfDoneLocked() {
	if q.ended && len(q.items) == 0 {
		q.closeLocked()
	}
}
