package dispatch

import (
	"slices"

	"github.com/fanoutd/fanoutd/internal/tracing"
)

// takeLocked begins the flight of the next event. The phase is ready.
func (q *queue) takeLocked() Delivery {
	it := &q.items[q.sent]
	q.sent++
	q.toldOfLocked(it)
	if it.event.Kind == Disconnected && !it.event.Replayed() {
		q.assigned = false // it says so itself
		q.leaveChangingLocked()
	}
	q.group.counts.Delivered++
	it.attempt++
	it.consumer = q.owner.options.ConsumerID
	if tracing.Sampled(it.event.Traceparent) {
		it.delivered = q.group.dispatcher.age()
	}
	q.owner.inFlight++
	q.owner.suspects.inFlight[it.suspect]++
	if q.sent == 1 {
		q.awaitAckLocked()
	}
	q.enterLocked(idle) // behind the others
	q.advanceLocked()
	return Delivery{Event: it.event, Attempt: it.attempt}
}

// findLocked returns the index of the event in flight with this id, or -1.
func (q *queue) findLocked(id eventID) int {
	return slices.IndexFunc(q.items[:q.sent], func(it item) bool {
		return it.event.Sequence == id.sequence && it.event.Replay == id.replay && !it.acked
	})
}

// ackLocked ends the flight of items[i] and removes from the front what is done.
func (q *queue) ackLocked(i int) {
	q.items[i].acked = true
	if e := q.items[i].event; e.Replayed() {
		q.group.dispatcher.deadLetters.settle(e)
	}
	q.landLocked(&q.items[i])
	oldest := i == 0
	q.removeSettledLocked()
	if oldest {
		q.awaitAckLocked()
	}
}

// removeSettledLocked removes from the front what is settled.
func (q *queue) removeSettledLocked() {
	for q.sent > 0 && q.items[0].acked {
		q.countLocked(-1, -q.items[0].event.size)
		q.items[0] = item{}
		q.items = q.items[1:]
		q.sent--
	}
	if len(q.items) == 0 {
		q.items = nil
	}
}

// landLocked ends the flight of an item that the owner has not settled before.
func (q *queue) landLocked(it *item) {
	if q.owner.inFlight >= q.owner.limit {
		q.owner.watchdog.progressed() // it could not take what waits until now
	}
	q.owner.inFlight--
	q.owner.suspects.inFlight[it.suspect]--
}

// rewindLocked takes items[from:sent] back out of flight, in order; those that
// were acked already are done. It returns how many will be delivered again.
func (q *queue) rewindLocked(from int) int {
	kept := from
	for _, it := range q.items[from:q.sent] {
		if it.acked {
			q.countLocked(-1, -it.event.size)
			continue
		}
		q.landLocked(&it)
		q.items[kept] = it
		kept++
	}
	q.items = slices.Delete(q.items, kept, q.sent)
	q.sent = from
	if from == 0 {
		q.awaitAckLocked()
	}
	return kept - from
}
