package dispatch

import "time"

// reviewInterval is how often a browser that is held up is looked at: whether it still
// is for the sake of a group that serves it.
const reviewInterval = time.Second

// serves reports whether the group takes and settles what the connection does.
func (g *group) serves(namespace, connection string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.subscriptions {
		if !s.draining && s.interest.serves(namespace) {
			q := g.queues[connection]
			return q == nil || q.activeLocked()
		}
	}
	return false
}

// servesLocked is group.serves for one event.
func (q *queue) servesLocked(e *Event) bool { return q.group.servedLocked(e) && q.activeLocked() }

// activeLocked reports whether the queue has an owner that settles what is in it:
// nothing of the connection was taken back for want of that since it last did, and,
// while it has nothing of the connection, nothing of others.
func (q *queue) activeLocked() bool {
	return q.owner != nil && !q.stuck && (q.sent > 0 || q.owner.lateUntil.IsZero())
}

// overflowLocked is for an event that the queue has no room for, of a group that does
// not serve the connection. What the browser sent is lost. So that the group knows
// who is there, its start is let in beyond the bound, up to twice of that; and its
// end always is, see group.offer.
func (q *queue) overflowLocked(e *Event) acceptance {
	if e.Kind == Connected && q.loadLocked().bytes+e.size <= 2*q.group.dispatcher.opts.SubscriptionBytes {
		q.pushLocked(e)
		return accepted
	}
	q.group.notToldLocked(e)
	q.group.loseLocked()
	return lost
}

// loseLocked counts an event that the group does not get.
func (g *group) loseLocked() {
	g.counts.Lost++
	g.dispatcher.lost.Add(1)
	g.dropLocked(1)
}

// review is offer for an event that is held; full: it still is.
func (g *group) review(o *offer) acceptance {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[o.event.ConnectionID]
	if q == nil || q.held != o {
		return accepted // or not: it is resolved
	}
	if q.servesLocked(o.event) {
		return full
	}
	q.releaseLocked()
	a := q.overflowLocked(o.event)
	o.resolve(a == accepted)
	g.relieveLocked(q.loadLocked()) // the next one may be smaller
	return a
}

// giveUpOn notes that an event was held for as long as it may be: the group does not serve
// the connection if it settled nothing of it meanwhile.
func (g *group) giveUpOn(o *offer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if q := g.queues[o.event.ConnectionID]; q != nil && q.held == o && !q.settledMeanwhile {
		q.stuck = true
	}
}

// servedBeside reports whether another group than g serves the connection.
func (d *Dispatcher) servedBeside(c *client, g *group) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, o := range d.groups {
		if o != g && o.listens.Load() && o.serves(c.socket.Namespace(), c.socket.ID()) {
			return true
		}
	}
	return false
}

// noteLost warns that g does not get e.
func (d *Dispatcher) noteLost(g *group, e *Event) {
	if n, ok := g.overflow.Event(); ok {
		d.log.Warn("a group loses events: it has no room for more, and no consumer that takes and settles them, while another group has",
			"group", g.name, "connection", e.ConnectionID, "events", n)
	}
}
