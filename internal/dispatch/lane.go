package dispatch

import "slices"

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

	ready  bool          // stands in member.ready
	paused bool          // until a refused event is tried again
	ended  bool          // the connection is gone: nothing is added any more
	gone   bool          // not in group.lanes any more
	waiter chan struct{} // closed when the browser that is held up may go on
}

// load is what a member, or nobody, has waiting.
type load struct {
	bytes   int
	waiting []*lane // lanes whose browsers wait for it to shrink
}

func (l *lane) load() *load {
	if l.member == nil {
		return &l.group.orphaned
	}
	return &l.member.load
}

// over reports whether the lane's browser is to be held up.
func (l *lane) over() bool {
	o := &l.group.dispatcher.opts
	return !l.gone && (l.bytes > o.LaneBytes || l.load().bytes > o.MemberBytes)
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
	l.relieve()
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

// relieve lets browsers go on that this lane or its load held up.
func (l *lane) relieve() {
	ld := l.load()
	if l.waiter != nil && !l.over() {
		l.release()
	}
	// Half empty before the crowd is let in again.
	if len(ld.waiting) > 0 && ld.bytes <= l.group.dispatcher.opts.MemberBytes/2 {
		waiting := ld.waiting
		ld.waiting = nil
		for _, w := range waiting {
			w.release()
		}
	}
}

func (l *lane) release() {
	if l.waiter != nil {
		close(l.waiter)
		l.waiter = nil
	}
}

// moveTo gives the lane, none of whose events is in flight, to m; nil: to nobody.
func (l *lane) moveTo(m *Member) {
	l.load().bytes -= l.bytes
	if l.member != nil {
		l.member.lanes--
	}
	l.member, l.ready = m, false
	if m != nil {
		m.lanes++
	}
	l.load().bytes += l.bytes
	l.release() // to look again: it waits for another load now
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
	l.load().bytes -= l.bytes
	l.items, l.sent, l.bytes, l.gone = nil, 0, 0, true
	delete(l.group.lanes, l.id)
	l.relieve()
	l.release()
}

// done removes the lane when its connection is gone and everything was acked.
func (l *lane) done() {
	if l.ended && len(l.items) == 0 {
		l.drop()
	}
}
