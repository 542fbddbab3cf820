package dispatch

import (
	"context"
	"slices"
)

// Drain waits until everything that belongs to a subscription is settled, and
// returns how many events of each group were not delivered: what nobody is there
// for, and what ctx's end left. It is for a shutdown, when no connection is left
// and nothing more happens: until it returns, consumers go on taking and settling.
func (d *Dispatcher) Drain(ctx context.Context) (undelivered map[string]int) {
	for d.delivering() {
		select {
		case <-d.emptied:
			continue
		case <-ctx.Done():
		}
		break
	}
	undelivered = map[string]int{}
	for _, g := range d.all() {
		if n := g.pending(); n > 0 {
			undelivered[g.name] = n
		}
	}
	return undelivered
}

// delivering reports whether events belong to a subscription.
func (d *Dispatcher) delivering() bool {
	return slices.ContainsFunc(d.all(), func(g *group) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return slices.ContainsFunc(g.subscriptions, func(s *Subscription) bool { return s.bytes > 0 })
	})
}

// pending returns how many events wait, or are in flight and not settled.
func (g *group) pending() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.events
	for _, q := range g.queues {
		for i := range q.items[:q.sent] {
			if q.items[i].acked {
				n--
			}
		}
	}
	return n
}

// emptiedLocked makes Drain look again when a load may have become empty. It never
// blocks.
func (g *group) emptiedLocked(ld *load) {
	if ld.bytes > 0 {
		return
	}
	select {
	case g.dispatcher.emptied <- struct{}{}:
	default:
	}
}
