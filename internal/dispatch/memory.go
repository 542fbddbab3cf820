package dispatch

import (
	"slices"
	"time"
)

// maxRemembered bounds how many different things the consumers of one group that
// have left are remembered to have asked for.
const maxRemembered = 100

// remembered is what a consumer asked for that has left. The group goes on
// accepting it for Options.GroupMemory, for the next one of its kind.
type remembered struct {
	interest
	until time.Time
	// queuedOnly keeps what was accepted for it, and accepts nothing more, but the end
	// of a connection whose start was.
	queuedOnly bool
}

// rememberLocked notes what a subscription asked for that has just ended. One that
// settled nothing leaves no trace, but that one of its kind which is remembered is
// for longer: it may be one that crashes at the first event, again and again, until that
// is a dead letter. And what was accepted for it stays if the group has nothing else to
// keep it by.
func (g *group) rememberLocked(s *Subscription) {
	r := remembered{interest: s.interest, until: time.Now().Add(g.dispatcher.opts.GroupMemory), queuedOnly: !s.settled}
	r.authorize = false // that is never forgotten
	same := func(o remembered) bool { return o.equal(&r.interest) }
	if r.queuedOnly {
		if i := slices.IndexFunc(g.memory, same); i >= 0 {
			g.memory[i].until = r.until
			return
		}
		if g.events == 0 || len(g.subscriptions)+len(g.memory) > 0 {
			return
		}
	}
	g.memory = slices.DeleteFunc(g.memory, same)
	if len(g.memory) == maxRemembered {
		g.memory = slices.Delete(g.memory, 0, 1)
	}
	g.memory = append(g.memory, r)
}

// wantsLocked reports whether the group accepts the event: a subscription asked for
// it, or one that is remembered.
func (g *group) wantsLocked(e *Event) bool {
	if e.Kind == Connecting {
		return g.authorized.contains(e.Namespace)
	}
	return slices.ContainsFunc(g.subscriptions, func(s *Subscription) bool { return s.interest.wants(e) }) ||
		slices.ContainsFunc(g.memory, func(r remembered) bool { return !r.queuedOnly && r.wants(e) })
}

// keepsLocked reports whether the event, which was accepted, is to stay.
func (g *group) keepsLocked(e *Event) bool {
	return g.wantsLocked(e) || e.Kind == Connecting ||
		slices.ContainsFunc(g.memory, func(r remembered) bool { return r.wants(e) })
}

// servedLocked reports whether a subscription takes the event.
func (g *group) servedLocked(e *Event) bool {
	return slices.ContainsFunc(g.subscriptions, func(s *Subscription) bool { return !s.draining && s.interest.wants(e) })
}

// pruneLocked drops events that wait though nobody asks for them any more.
func (g *group) pruneLocked() {
	for _, q := range g.queues {
		if !q.dropUnwantedLocked() {
			continue
		}
		if q.phase == ready {
			q.enterLocked(idle) // its place depends on what is next
		}
		q.advanceLocked()
		if q.phase == unowned || q.phase == handingOver && q.sent == 0 {
			g.reassignLocked(q.loadLocked(), q)
		} else {
			q.relieveLocked()
		}
		q.closeIfDoneLocked()
	}
	for _, s := range g.subscriptions {
		if s.walk != nil { // it may go on
			s.wake()
		}
	}
}

// dropUnwantedLocked drops the events of the queue that wait, or are held, though
// nobody asks for them any more. It is false if there are none.
func (q *queue) dropUnwantedLocked() bool {
	held := q.held != nil && !q.group.keepsLocked(q.held.event)
	if held {
		q.group.dropLocked(1)
		q.group.notToldLocked(q.held.event)
		q.releaseLocked().resolve(false)
	}
	kept := q.sent
	for _, it := range q.items[q.sent:] {
		if q.group.keepsLocked(it.event) {
			q.items[kept] = it
			kept++
			continue
		}
		q.countLocked(-1, -it.event.size)
		q.toldOfLocked(&it)
		q.group.notToldLocked(it.event)
		if it.event.Replayed() {
			q.group.dispatcher.deadLetters.giveBack(it.event)
			continue
		}
		q.group.dropLocked(1)
	}
	dropped := kept < len(q.items)
	q.items = slices.Delete(q.items, kept, len(q.items))
	return dropped || held
}

// scheduleLocked sets the timer for when the group has something to forget. If nothing is
// left of it, settleDown removes it.
func (g *group) scheduleLocked() {
	if g.expiry != nil {
		g.expiry.Stop()
	}
	g.listens.Store(len(g.subscriptions)+len(g.memory) > 0)
	g.tells = g.tellsLocked()
	if len(g.memory) > 0 {
		first := slices.MinFunc(g.memory, func(a, b remembered) int { return a.until.Compare(b.until) })
		g.expiry = time.AfterFunc(max(time.Until(first.until), soonest), g.forget)
	}
}

// soonest is not 0: in a bubble of testing/synctest a timer that is due when it is set
// runs in the goroutine that sets it, which the race detector does not survive if others
// do so at that moment (golang/go#78156).
const soonest = time.Nanosecond

// emptyLocked reports whether nothing is left to keep the group for.
func (g *group) emptyLocked() bool {
	return len(g.subscriptions)+len(g.memory) == 0 && g.authorized.empty()
}

// settleDown follows, once no lock is held, what may have ended a subscription or buried
// events: it logs these, and removes the group if nothing is left of it.
func (g *group) settleDown() {
	g.report()
	g.mu.Lock()
	empty := g.emptyLocked()
	g.mu.Unlock()
	if empty {
		g.forget()
	}
}

// forget is the timer: it forgets what has been remembered for long enough, and the
// whole group if nothing is left of it.
func (g *group) forget() {
	d := g.dispatcher
	d.mu.Lock()
	defer d.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.removed {
		return
	}
	now := time.Now()
	g.memory = slices.DeleteFunc(g.memory, func(r remembered) bool { return !now.Before(r.until) })
	if g.emptyLocked() {
		g.removeLocked()
		return
	}
	g.pruneLocked()
	g.scheduleLocked()
	g.forgetToldLocked()
}

// forgetToldLocked forgets whom the group was told of once nobody asks for lifecycle any
// more: it will not hear of their ends, so who asks next is told of all anew.
func (g *group) forgetToldLocked() {
	if slices.ContainsFunc(g.subscriptions, func(s *Subscription) bool { return s.interest.lifecycle }) ||
		slices.ContainsFunc(g.memory, func(r remembered) bool { return r.lifecycle }) {
		return
	}
	for _, q := range g.queues {
		q.told, q.missed = false, false
	}
}

// removeLocked takes the group, which has no subscriptions, out of the dispatcher,
// whose mu is held too.
func (g *group) removeLocked() {
	g.removed = true
	g.listens.Store(false)
	delete(g.dispatcher.groups, g.name)
	if g.evenTimer != nil {
		g.evenTimer.Stop()
	}
	if g.expiry != nil {
		g.expiry.Stop()
	}
	for _, q := range g.queues {
		g.dropLocked(len(q.items))
		if q.held != nil {
			g.dropLocked(1)
		}
		q.closeLocked()
	}
}
