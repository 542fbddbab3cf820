package dispatch

import "slices"

// Returned has a group told once more of connections that it was told are lost with this
// node, which another node took for gone and which is back: each that is still there is
// Connected, and Recovered, before anything else of it is delivered. Of one that has ended
// meanwhile the group gets what waits.
func (d *Dispatcher) Returned(groupName string, connections []string) {
	d.mu.RLock()
	g := d.groups[groupName]
	d.mu.RUnlock()
	for _, id := range connections {
		c := d.client(id)
		if c == nil || !d.roster.has(c) {
			continue
		}
		c.loseTo(groupName)
		if g != nil {
			g.returned(c)
		} // else it is told when the group is there again
	}
}

// returned tells of c now if the group has something of it, or else in its turn: as of
// one that exists, or with its next event.
func (g *group) returned(c *client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[c.socket.ID()]
	if q == nil || q.client != c || !q.told {
		return
	}
	if q.comingLocked() {
		c.foundBy(g.name)
		return
	}
	q.told = false
	q.introduceLocked()
	q.advanceLocked()
	q.moveLocked()
}

// comingLocked reports whether a Connected is in the queue that was never delivered.
func (q *queue) comingLocked() bool {
	return slices.ContainsFunc(q.items, func(it item) bool { return it.event.Kind == Connected && it.attempt == 0 })
}
