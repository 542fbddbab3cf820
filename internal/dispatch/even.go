package dispatch

import (
	"slices"
	"time"
)

// How connections move between subscriptions so that these have about equal shares.
const (
	// evenInterval is the pause between two pieces: 1,000 connections a second move
	// at most.
	evenInterval = 100 * time.Millisecond
	evenMoves    = 100 // connections that move in a piece
	evenLooks    = 200 // connections that are looked at in a piece
	// evenRetry is the pause when those that could move are busy.
	evenRetry = time.Second
)

// uneven reports whether the share many exceeds few by more than a quarter, and by
// more than one connection.
func uneven(many, few int) bool { return many > few+few/4+1 }

// evenOutLocked has quiet connections move soon, if shares are uneven.
func (g *group) evenOutLocked() { g.evenAfterLocked(evenInterval) }

func (g *group) evenAfterLocked(d time.Duration) {
	switch {
	case g.evening || len(g.subscriptions) < 2:
		return
	case g.evenTimer == nil:
		g.evenTimer = time.AfterFunc(d, g.even)
	default:
		g.evenTimer.Reset(d)
	}
	g.evening = true
}

// even is the timer: it moves some quiet connections from those subscriptions that
// have the most to those that have the least.
func (g *group) even() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.evening = false
	if g.removed {
		return
	}
	moves, looks := 0, evenLooks
	var busy map[*Subscription]bool // that can give none away just now
	for moves < evenMoves && looks > 0 {
		from := g.largestLocked(busy)
		if from == nil {
			break
		}
		if q, to := g.movableLocked(from, &looks); q != nil {
			q.assignLocked(to)
			moves++
			continue
		}
		if busy == nil {
			busy = map[*Subscription]bool{}
		}
		busy[from] = true
	}
	switch {
	case moves > 0:
		g.evenAfterLocked(evenInterval)
	case g.canEvenOutLocked():
		g.handOverBusyLocked()
		g.evenAfterLocked(evenRetry)
	}
}

// handOverBusyLocked has some connections move that are never quiet because their events
// wait for a consumer that has more than its share: once what is in flight of them is settled.
func (g *group) handOverBusyLocked() {
	moves, looks := evenMoves, evenLooks
	for _, from := range slices.Clone(g.subscriptions) {
		if from.draining {
			continue
		}
		for _, q := range from.backedUpLocked(&looks) {
			if moves > 0 && q.owner == from && g.underLocked(from, q) {
				q.leaveLocked()
				moves--
			}
		}
	}
}

// backedUpLocked returns queues whose next event has waited for a while. It looks at no
// more than looks queues: those that are ready, and those with something in flight for longest.
func (s *Subscription) backedUpLocked(looks *int) (queues []*queue) {
	before := s.group.dispatcher.age() - evenInterval
	look := func(q *queue) {
		*looks--
		if (q.phase == ready || q.phase == idle) && q.sent < len(q.items) && q.items[q.sent].since < before {
			queues = append(queues, q)
		}
	}
	for _, t := range s.readyLocked() {
		for q := t.first; q != nil && *looks > 0; q = q.next {
			look(q)
		}
	}
	for q := s.acks.first; q != nil && *looks > 0; q = q.waitNext {
		if q.turn == nil {
			look(q)
		}
	}
	return queues
}

// underLocked reports whether another subscription is to have the queue of from: one that
// takes all that from does of it has less than its share, also when those have come that are
// leaving already.
func (g *group) underLocked(from *Subscription, q *queue) bool {
	now, leaving := time.Now(), 0
	for _, s := range g.subscriptions {
		leaving += s.leaving
	}
	return slices.ContainsFunc(g.subscriptions, func(s *Subscription) bool {
		return uneven(from.owned.count-from.leaving, s.owned.count+leaving) &&
			!s.draining && !now.Before(s.lateUntil) && s.interest.coversIn(q.namespace, &from.interest) && g.fitsLocked(&s.load, q.bytes)
	})
}

// leaveLocked has the queue move to another subscription, once nothing of it is in flight.
func (q *queue) leaveLocked() {
	q.leaving = true
	q.owner.leaving++
	q.advanceLocked()
	q.moveLocked()
}

// stayLocked is the end of leaveLocked.
func (q *queue) stayLocked() {
	if q.leaving {
		q.leaving = false
		q.owner.leaving--
	}
}

// largestLocked returns the subscription with the most connections that is none of
// the excluded ones, nil if there is none.
func (g *group) largestLocked(except map[*Subscription]bool) (largest *Subscription) {
	for _, s := range g.subscriptions {
		if !s.draining && !except[s] && (largest == nil || s.owned.count > largest.owned.count) {
			largest = s
		}
	}
	return largest
}

// movableLocked returns a quiet queue of from and the subscription with the fewest
// connections that takes all that from does of it, if their shares are uneven. It
// looks at no more than looks queues.
func (g *group) movableLocked(from *Subscription, looks *int) (*queue, *Subscription) {
	now := time.Now()
	first := from.quiet.first
	for q := first; q != nil && *looks > 0; {
		*looks--
		var to *Subscription
		for _, s := range g.subscriptions {
			if uneven(from.owned.count, s.owned.count) && (to == nil || s.owned.count < to.owned.count) &&
				!s.draining && !now.Before(s.lateUntil) && s.interest.coversIn(q.namespace, &from.interest) {
				to = s
			}
		}
		if to != nil && q.held == nil {
			return q, to
		}
		from.quiet.remove(q) // the others have their turn first
		from.quiet.add(q)
		if q = from.quiet.first; q == first {
			break
		}
	}
	return nil, nil
}

// canEvenOutLocked reports whether shares are uneven though one subscription could
// take any connection of another.
func (g *group) canEvenOutLocked() bool {
	for _, from := range g.subscriptions {
		for _, to := range g.subscriptions {
			if uneven(from.owned.count, to.owned.count) && !from.draining && !to.draining && to.interest.covers(&from.interest) {
				return true
			}
		}
	}
	return false
}
