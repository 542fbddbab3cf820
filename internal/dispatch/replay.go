package dispatch

import (
	"errors"
	"math"
)

// ErrNoRoom is returned when the queues of dead letters' connections have no room for any
// of them.
var ErrNoRoom = errors.New("the group has no room for them now")

// replayPage is how many dead letters are looked up at a time.
const replayPage = 1000

// ReplayDeadLetters delivers dead letters of a group, which f names, to it once more,
// oldest first: as new events, with an ID of their own and without a reply, behind
// what waits of the same connection. Each stays a dead letter until it is settled; one that is on its way
// already, or that nobody asks for, is left out. Where the bounds leave no room it
// passes over the connection. It returns how many are on their way. Error: [ErrNoRoom],
// if that kept all of them back.
func (d *Dispatcher) ReplayDeadLetters(f DeadLetterFilter) (n int, err error) {
	crowded := map[string]bool{} // connections for which there is no room
	after := ""
	for more := true; more; {
		var page []DeadLetter
		page, more = d.deadLetters.list(&f, after, replayPage, math.MaxInt)
		for i := range page {
			l := &page[i]
			after = l.ID
			if l.Replaying || crowded[l.Event.ConnectionID] {
				continue
			}
			switch d.replay(l) {
			case accepted:
				n++
			case full:
				crowded[l.Event.ConnectionID] = true
			}
		}
	}
	if n == 0 && len(crowded) > 0 {
		return 0, ErrNoRoom
	}
	if n > 0 {
		d.replayed.Add(uint64(n))
		d.log.Info("replaying dead letters", "group", f.Group, "dead_letters", n)
	}
	return n, nil
}

// replay delivers a dead letter once more.
func (d *Dispatcher) replay(l *DeadLetter) acceptance {
	d.mu.RLock() // so that the connection does not end unnoticed meanwhile
	defer d.mu.RUnlock()
	g := d.groups[l.Group]
	if g == nil {
		return unwanted
	}
	c := d.clients[l.Event.ConnectionID]
	return g.replay(l, c, c != nil && d.roster.has(c))
}

// replay queues the event of a dead letter, if there is room. c is its connection,
// nil if that is gone; member says that it is in its namespace.
func (g *group) replay(l *DeadLetter, c *client, member bool) acceptance {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.removed || !g.wantsLocked(l.Event) || g.dropsLocked(l.Event) {
		return unwanted
	}
	_, existed := g.queues[l.Event.ConnectionID]
	q := g.makeQueueLocked(l.Event)
	if !existed {
		q.ended = c == nil
	}
	if member {
		q.client = c
		q.knowLocked(c.view)
	}
	defer q.closeIfDoneLocked()
	ld := q.loadLocked()
	if q.held != nil || !q.fitsLocked(l.Event.size) || ld.waiting.Len() > 0 || !g.fitsLocked(ld, l.Event.size) {
		return full
	}
	e := g.dispatcher.deadLetters.replay(l)
	if e == nil {
		return unwanted
	}
	if c != nil && (e.Kind == Message || e.Existing || e.returned) {
		e.view = c.view
	}
	q.pushLocked(e)
	return accepted
}

// replay marks the letter as on its way, and returns the event to deliver; nil if it
// is forgotten, or on its way already.
func (s *deadLetters) replay(l *DeadLetter) *Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := *l.Event
	e.letter = l.number
	kept, _ := s.findLocked(&e)
	if kept == nil || kept.Replaying {
		return nil
	}
	kept.Replaying = true
	s.replays++
	e.Replay, e.ReplyExpected = s.replays, false
	return &e
}
