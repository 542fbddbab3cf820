package dispatch

// turns are the queues of a subscription that have something to deliver, in the
// order in which they do; or those that have nothing. Each stands in it once. The zero value is empty.
type turns struct{ first, last *queue }

// add puts q at the end.
func (t *turns) add(q *queue) {
	q.prev, q.next = t.last, nil
	if t.last == nil {
		t.first = q
	} else {
		t.last.next = q
	}
	t.last = q
}

// remove takes q out, wherever it stands.
func (t *turns) remove(q *queue) {
	if q.prev == nil {
		t.first = q.next
	} else {
		q.prev.next = q.next
	}
	if q.next == nil {
		t.last = q.prev
	} else {
		q.next.prev = q.prev
	}
	q.prev, q.next = nil, nil
}
