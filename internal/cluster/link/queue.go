package link

// queue holds pieces, the oldest first. It uses its memory again, so that a stream that
// goes on allocates none; what a burst took is given back when the queue is empty.
type queue struct {
	pieces []piece
	memory []piece // that pieces lies in, from its beginning
	gone   int     // places of memory before pieces
}

// keepPieces is for how many pieces an empty queue keeps memory.
const keepPieces = 4096

func (q *queue) add(p piece) {
	if len(q.pieces) == cap(q.pieces) {
		q.grow()
	}
	q.pieces = append(q.pieces, p)
}

// grow makes room for one more: to where pieces are gone if that is half of the memory, so
// that few are moved for each that is added, and else in more memory.
func (q *queue) grow() {
	n := len(q.pieces)
	if q.gone >= max(n, 1) {
		copy(q.memory, q.pieces)
		clear(q.pieces)
	} else {
		q.memory = append(make([]piece, 0, max(2*n, 64)), q.pieces...)
		q.memory = q.memory[:cap(q.memory)]
	}
	q.pieces, q.gone = q.memory[:n], 0
}

// remove removes the first n.
func (q *queue) remove(n int) {
	clear(q.pieces[:n])
	q.pieces = q.pieces[n:]
	q.gone += n
	if len(q.pieces) > 0 {
		return
	}
	if len(q.memory) > keepPieces {
		q.memory = nil
	}
	q.pieces, q.gone = q.memory[:0], 0
}
