package dispatch

import (
	"slices"
	"time"
)

// distribute queues e in every group that asked for it, once there is room in each,
// and returns how many took it.
func (d *Dispatcher) distribute(c *client, e *Event) (groups int) {
	d.events.Add(1)
	asked := false
	var late []*group
	d.mu.RLock()
	for _, g := range d.groups {
		if !g.listens.Load() {
			continue
		}
		a := g.offer(c, e, false)
		asked = asked || a != unwanted
		switch a {
		case accepted:
			groups++
		case full:
			late = append(late, g)
		}
	}
	for t := range d.tails {
		t.offer(e)
	}
	if e.Kind == Connected {
		d.roster.add(c) // groups that ask from now on are told of it as one that exists
	}
	d.mu.RUnlock()
	if len(late) > 0 {
		return groups + d.hold(c, e, late)
	}
	if !asked {
		d.unheard.Add(1)
	}
	return groups
}

// hold waits until each of the groups had room for e, or lost it, or closes the
// session. It returns how many took it.
func (d *Dispatcher) hold(c *client, e *Event, groups []*group) (taken int) {
	late := groups[:0]
	for _, g := range groups {
		switch g.offerAgain(c, e, d.servedBeside(c, g)) {
		case accepted:
			taken++
		case full:
			late = append(late, g)
		case lost:
			d.noteLost(g, e)
		}
	}
	if len(late) > 0 {
		taken += d.wait(c, e, late)
	}
	return taken
}

// wait is hold for groups that serve the connection, or all there are.
func (d *Dispatcher) wait(c *client, e *Event, groups []*group) int {
	o := newOffer(c, e, len(groups))
	for _, g := range groups {
		g.hold(o)
	}
	limit := time.NewTimer(d.opts.HoldTimeout)
	defer limit.Stop()
	review := time.NewTicker(reviewInterval)
	defer review.Stop()
	timedOut, left := false, false
	for !timedOut && !left {
		select {
		case <-o.done:
			return int(o.accepted.Load())
		case <-c.socket.Done():
			left = true
		case <-review.C:
			left = c.socket.Left()
			groups = d.review(c, o, groups)
		case <-limit.C:
			for _, g := range groups {
				g.giveUpOn(o)
			}
			groups = d.review(c, o, groups)
			timedOut, left = true, c.socket.Left()
		}
	}
	late := slices.DeleteFunc(groups, func(g *group) bool { return !g.withdraw(o) })
	for _, g := range late {
		g.drop(1)
	}
	if timedOut && !left && len(late) > 0 {
		d.stalledSessions.Add(1)
		d.log.Warn("closing a session: its events were not consumed in time", "group", late[0].name, "connection", c.socket.ID())
		c.socket.Close(ReasonStalled)
	}
	return int(o.accepted.Load())
}

// review has those of the groups lose what is offered that do not serve the connection
// while another does. It returns those that it still waits for.
func (d *Dispatcher) review(c *client, o *offer, groups []*group) (late []*group) {
	for _, g := range groups {
		a := full
		if d.servedBeside(c, g) {
			a = g.review(o)
		}
		switch a {
		case full:
			late = append(late, g)
		case lost:
			d.noteLost(g, o.event)
		}
	}
	return late
}
