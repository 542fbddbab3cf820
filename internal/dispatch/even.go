package dispatch

import "time"

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
		g.evenAfterLocked(evenRetry)
	}
}

// largestLocked returns the subscription with the most connections that is none of
// the excluded ones, nil if there is none.
func (g *group) largestLocked(except map[*Subscription]bool) (largest *Subscription) {
	for _, s := range g.subscriptions {
		if !s.draining && !except[s] && (largest == nil || s.queues > largest.queues) {
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
			if uneven(from.queues, s.queues) && (to == nil || s.queues < to.queues) &&
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
			if uneven(from.queues, to.queues) && !from.draining && !to.draining && to.interest.covers(&from.interest) {
				return true
			}
		}
	}
	return false
}
