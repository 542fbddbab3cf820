package engineio

import (
	"net"

	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// Answer implements [wsconn.ControlHandler]: it takes a control frame that gorilla answers with. A close is the last
// frame there is, so it is kept for the end that follows. A
// candidate sends none: its frames would end up in a poll.
func (t *wsConn) Answer(frame []byte) {
	s := t.session
	m := rawFrame(frame)
	s.mu.Lock()
	carries := s.link == t
	if carries && m.opcode == wsconn.OpClose {
		t.answer = m
	}
	s.mu.Unlock()
	if carries && m.opcode != wsconn.OpClose {
		s.out.pushPong(m)
	}
}

// wake puts the connection on its flusher's next pass, or starts a goroutine that writes.
func (t *wsConn) wake() {
	if t.socket != nil {
		t.slow.Store(false)
		t.flusher.add(t)
		return
	}
	t.session.srv.start(func() { t.write(nil) })
}

// crowded has emitters paced by the flusher. One that is not written to by it, because it
// is slow, holds up nobody.
func (t *wsConn) crowded() {
	if t.socket != nil && !t.slow.Load() {
		t.flusher.crowd()
	}
}

// skip returns how many whole messages n bytes are, and the bytes of the next.
func skip(msgs []*Message, n int) (whole, partial int) {
	for whole < len(msgs) && n >= len(msgs[whole].frame) {
		n -= len(msgs[whole].frame)
		whole++
	}
	return whole, n
}

// rest returns what is left of msgs after the first bytes of the first.
func rest(msgs []*Message, sent int) net.Buffers {
	b := make(net.Buffers, len(msgs))
	for i, m := range msgs {
		b[i] = m.frame
	}
	b[0] = b[0][sent:]
	return b
}

// recycle clears a queue's space for its next use.
func recycle(msgs []*Message) []*Message {
	if cap(msgs) > maxSpare {
		return nil
	}
	clear(msgs)
	return msgs[:0]
}

// startWriter writes frames, then what waits, from a goroutine that waits for
// the browser and ends when nothing waits.
func (t *wsConn) startWriter(frames net.Buffers) {
	t.slow.Store(true)
	t.session.srv.running.Go(func() { t.write(frames) })
}

func (t *wsConn) write(frames net.Buffers) {
	var spare []*Message
	for {
		if len(frames) > 0 {
			batch := frames // WriteTo consumes its receiver
			if _, err := batch.WriteTo(t.conn.NetConn()); err != nil {
				t.fail()
				return
			}
			clear(frames)
		}
		msgs, last := t.session.out.take(t, spare)
		if len(msgs) == 0 {
			t.idle(last)
			return
		}
		t.session.countSent(transportWebSocket, msgs)
		encode(msgs, t.framing)
		frames = frames[:0]
		for _, m := range msgs {
			frames = append(frames, m.frame)
		}
		spare = recycle(msgs)
	}
}

// idle is the end of a burst. After the last one the close frame is out, and
// the reader goes on until the peer has answered it, or for as long as expire
// allows: closing with its bytes unread would reset the connection and could
// cost the browser our last frames.
func (t *wsConn) idle(last bool) {
	if last {
		t.written.set()
	}
}

// maxSpare bounds, in messages, the queue space a connection keeps between bursts.
const maxSpare = 64

// fail ends the connection after a write error. It stays the outbox's busy
// writer, so nothing is written any more.
func (t *wsConn) fail() {
	t.session.Close(ReasonTransportError)
	t.written.set()
	t.conn.Close()
}
