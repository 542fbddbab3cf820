package engineio

import "github.com/fanoutd/fanoutd/internal/netpoll"

// writes are the writes of a flusher's pass to some of its connections, made together
// without waiting for a browser. It allocates nothing.
type writes struct {
	batch  *netpoll.Batch
	one    [netpoll.MaxBatch]oneWrite // of batch
	bufs   [netpoll.MaxBuffers][]byte
	spares [][]*Message // room for queues, from those that were written
}

// oneWrite is what one connection is given.
type oneWrite struct {
	conn  *wsConn
	msgs  []*Message // as the outbox gave them
	wait  []*Message // of msgs, not written yet
	taken int        // messages of wait that the batch writes
}

func (w *writes) empty() bool { return w.batch.Len() == 0 }

// full says that write comes next. After a full batch others are offered a turn: it costs as
// much as a fraction of one write, and emitters who wait for the network are not held up by
// a pass of ten thousand, so that what they emit meanwhile gathers.
func (w *writes) full() bool { return w.batch.Len() == netpoll.MaxBatch }

// take adds what waits for t, if anything does: else its burst is over.
func (w *writes) take(t *wsConn) {
	var spare []*Message
	if n := len(w.spares); n > 0 {
		spare, w.spares[n-1] = w.spares[n-1], nil // it is the outbox's now
		w.spares = w.spares[:n-1]
	}
	msgs, last := t.session.out.take(t, spare)
	if len(msgs) == 0 {
		w.keep(spare)
		t.idle(last)
		return
	}
	t.session.countSent(transportWebSocket, msgs)
	encode(msgs, t.framing)
	w.add(t, msgs, msgs)
}

func (w *writes) add(t *wsConn, msgs, wait []*Message) {
	i := w.batch.Len()
	bufs := w.bufs[:min(len(wait), len(w.bufs))]
	for i, m := range wait[:len(bufs)] {
		bufs[i] = m.frame
	}
	w.one[i] = oneWrite{t, msgs, wait, t.socket.AddTo(w.batch, bufs)}
	clear(bufs)
}

// keep keeps room for a queue. No more than a batch's are ever there.
func (w *writes) keep(spare []*Message) {
	if spare != nil {
		w.spares = append(w.spares, spare)
	}
}

// write makes the writes. What a connection does not take is left to a goroutine; those that
// took all are given what has come for them meanwhile, in the next batch.
func (w *writes) write() {
	for i := range w.batch.Write() { // each adds one at most
		x := w.one[i]
		w.one[i] = oneWrite{}
		sent, err := w.batch.Result(i)
		if err != nil {
			x.conn.fail()
			continue
		}
		whole, partial := skip(x.wait, sent)
		switch wait := x.wait[whole:]; {
		case whole < x.taken:
			x.conn.startWriter(rest(wait, partial))
		case len(wait) > 0:
			w.add(x.conn, x.msgs, wait)
		default:
			w.keep(recycle(x.msgs))
			w.take(x.conn)
		}
	}
}
