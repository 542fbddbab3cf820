package dispatch

import (
	"context"
	"slices"
	"time"
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

// settledEvery is how often Settled looks: what is awaited takes a round trip to a consumer
// and its work, and is awaited for few connections at a time.
const settledEvery = 5 * time.Millisecond

// Settled waits, but not past ctx, until nothing is left of what a connection did, that was
// cut off: consumers have settled it, or nobody takes it.
func (d *Dispatcher) Settled(ctx context.Context, connectionID string) {
	tick := time.NewTicker(settledEvery)
	defer tick.Stop()
	for d.waitsFor(connectionID) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// waitsFor reports whether consumers have something of the connection before them.
func (d *Dispatcher) waitsFor(connectionID string) bool {
	return slices.ContainsFunc(d.all(), func(g *group) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		q := g.queues[connectionID]
		return q != nil && len(q.items) > 0 && q.owner != nil
	})
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
