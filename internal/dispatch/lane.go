package dispatch

import (
	"container/list"
	"slices"
)

// item is an event in a lane.
type item struct {
	event   *Event
	attempt uint32 // deliveries so far
	nacks   int
	acked   bool // out of order: an earlier one is still in flight
}

// lane is the queue of one connection in one group. group.mu guards it.
type lane struct {
	group  *group
	id     string // of the connection
	nsp    string
	member *Member // nil: nobody is there for it

	items []item // items[:sent] are in flight, the others wait
	sent  int
	bytes int // of all items

	ready  bool // stands in member.ready
	paused bool // until a refused event is tried again
	ended  bool // the connection is gone: nothing is added any more
	gone   bool // not in group.lanes any more

	held  *offer        // the connection's next event, for which there is no room yet; at most one
	place *list.Element // in the waiting list of its load; nil: held waits for room in the lane itself
}

// load is what a member, or nobody, has waiting.
type load struct {
	bytes   int
	waiting list.List // of *lane: those whose held event waits for room here, first come first
}

// fits reports whether size more bytes are within the bound. What is larger than
// the bound fits where nothing else is, or it never would.
func fits(bytes, size, bound int) bool { return bytes == 0 || bytes+size <= bound }

func (l *lane) load() *load {
	if l.member == nil {
		return &l.group.orphaned
	}
	return &l.member.load
}

// fits reports whether there is room for size bytes in the lane.
func (l *lane) fits(size int) bool {
	return fits(l.bytes, size, l.group.dispatcher.opts.LaneBytes)
}

// fits reports whether there is room for size bytes in a load of the group.
func (g *group) fits(ld *load, size int) bool {
	return fits(ld.bytes, size, g.dispatcher.opts.MemberBytes)
}

// droppedByPolicy reports whether the lane's events are not kept, since nobody
// is there for it.
func (l *lane) droppedByPolicy() bool {
	return l.member == nil && l.group.dispatcher.policy(l.nsp) == Drop
}

func (l *lane) push(e *Event) {
	l.items = append(l.items, item{event: e})
	l.bytes += e.size
	l.load().bytes += e.size
	l.schedule()
}

// schedule puts the lane in its member's queue if there is something to send.
func (l *lane) schedule() {
	m := l.member
	if m == nil || l.ready || l.paused || l.sent >= len(l.items) || m.leaving {
		return
	}
	l.ready = true
	if len(m.ready) == 0 {
		m.progressed() // it had nothing to do until now
	}
	m.ready = append(m.ready, l)
	m.wake()
}

// find returns the index of the in-flight event with this sequence, or -1.
func (l *lane) find(sequence uint64) int {
	for i := range l.items[:l.sent] {
		if l.items[i].event.Sequence == sequence && !l.items[i].acked {
			return i
		}
	}
	return -1
}

// settle ends the flight of items[i] and removes what is done from the front.
func (l *lane) settle(i int) {
	l.items[i].acked = true
	l.member.inflight--
	for l.sent > 0 && l.items[0].acked {
		l.removeFirst()
	}
}

func (l *lane) removeFirst() {
	size := l.items[0].event.size
	l.items[0] = item{}
	l.items = l.items[1:]
	l.sent--
	l.bytes -= size
	l.load().bytes -= size
	if len(l.items) == 0 {
		l.items = nil
	}
}

// rewind takes items[from:sent] back out of flight, in order; those that were
// acked already are done.
func (l *lane) rewind(from int) {
	kept := from
	for _, it := range l.items[from:l.sent] {
		if it.acked {
			l.bytes -= it.event.size
			l.load().bytes -= it.event.size
			continue
		}
		l.member.inflight--
		l.items[kept] = it
		kept++
	}
	l.items = slices.Delete(l.items, kept, l.sent)
	l.sent = from
}

// relieve lets in what waits for room, after the lane or its load has shrunk.
func (l *lane) relieve() {
	if l.held != nil && l.place == nil && l.fits(l.held.event.size) {
		l.place = l.load().waiting.PushBack(l)
	}
	l.group.relieve(l.load())
}

// relieve lets in what waits for room in a load, in the order in which it came.
func (g *group) relieve(ld *load) {
	for first := ld.waiting.Front(); first != nil; first = ld.waiting.Front() {
		l := first.Value.(*lane)
		if !g.fits(ld, l.held.event.size) {
			return
		}
		o := l.unhold()
		l.push(o.event)
		o.decide(true)
	}
}

// unhold takes the event that is held.
func (l *lane) unhold() *offer {
	o := l.held
	l.held = nil
	l.unlist()
	return o
}

// unlist takes the lane out of the waiting list of its load.
func (l *lane) unlist() {
	if l.place != nil {
		l.load().waiting.Remove(l.place)
		l.place = nil
	}
}

// reassign gives lanes, whose load is old and none of whose events is in flight,
// to the members that are there. Only then it lets in what waits for room: what
// comes into a lane that still has to move would not count against the bound of
// the load that it moves to.
func (g *group) reassign(old *load, lanes ...*lane) {
	for _, l := range lanes {
		l.moveTo(g.pick(l))
	}
	for _, l := range lanes {
		if l.held != nil && l.droppedByPolicy() {
			g.dispatcher.dropped.Add(1)
			l.unhold().decide(false)
		}
		l.relieve()
	}
	g.relieve(old)
}

// moveTo gives the lane, none of whose events is in flight, to m; nil: to nobody.
func (l *lane) moveTo(m *Member) {
	l.unlist()
	l.load().bytes -= l.bytes
	if l.member != nil {
		l.member.lanes--
	}
	l.member, l.ready = m, false
	if m != nil {
		m.lanes++
	}
	l.load().bytes += l.bytes
	l.schedule()
}

// drop removes the lane and all it holds.
func (l *lane) drop() {
	if l.gone {
		return
	}
	if l.member != nil {
		for _, it := range l.items[:l.sent] {
			if !it.acked {
				l.member.inflight--
			}
		}
		l.member.lanes--
		l.member.wake()
	}
	if l.held != nil {
		l.unhold().decide(false)
	}
	l.load().bytes -= l.bytes
	l.items, l.sent, l.bytes, l.gone = nil, 0, 0, true
	delete(l.group.lanes, l.id)
	l.relieve()
}

// done removes the lane when its connection is gone and everything was acked.
func (l *lane) done() {
	if l.ended && len(l.items) == 0 {
		l.drop()
	}
}
