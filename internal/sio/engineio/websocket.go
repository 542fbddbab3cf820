package engineio

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/internal/netpoll"
)

// wsConn is one WebSocket: a session's consumer, or the candidate to become it.
//
// Frames are read through gorilla, which masks and assembles, and checks the
// protocol. They are written to the connection under it, all that wait in one
// system call: by the session's flusher as long as the connection takes them at
// once, else by a writer of its own until nothing waits any more.
type wsConn struct {
	session *Session
	conn    *websocket.Conn
	raw     net.Conn      // under conn and its wire
	socket  *netpoll.Conn // raw's; nil: every burst has its own writer, and nothing is parked
	flusher *flusher
	form    form          // of what is written
	written chan struct{} // closed when the last was written
	closed  chan struct{} // closed when the reader has ended and the connection is closed
	once    sync.Once

	farewell *Message // gorilla's close frame, if it made one; guarded by Session.mu

	buffered *bufio.Reader // under conn; the reader's own
	source   io.Reader     // under buffered
}

// upgrade answers the request and returns its WebSocket. On an error the request
// has been answered. The answer is not held back to share a system call with what
// follows: a client that listens for messages only once it is open is likelier to
// miss the first when both come at once.
func (s *Session) upgrade(w http.ResponseWriter, r *http.Request) (*wsConn, error) {
	h := &hijacker{ResponseWriter: w}
	c, err := s.srv.upgrader.Upgrade(h, r, s.srv.upgradeHeaders(r))
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(s.srv.opts.MaxPayload)
	t := &wsConn{
		session: s, conn: c, raw: h.wire.Conn, buffered: h.reader, source: h.wire,
		flusher: s.srv.flushers.of(s.number),
		written: make(chan struct{}), closed: make(chan struct{}),
	}
	if socket := s.srv.poller.Socket(t.raw); socket != nil {
		t.socket = netpoll.NewConn(socket, func() { s.srv.running.Go(t.read) })
	}
	t.form = s.formFor(r)
	if h.wire.deflate {
		t.form |= formDeflate
	}
	h.wire.ws = t
	return t, nil
}

// openWebSocket upgrades the request that opened the session.
func (s *Session) openWebSocket(w http.ResponseWriter, r *http.Request) {
	t, err := s.upgrade(w, r)
	s.mu.Lock()
	if err != nil || s.reason != "" {
		s.mu.Unlock()
		if err == nil {
			t.abandon()
		}
		s.Close(ReasonTransportError)
		return
	}
	s.link = t
	s.heartbeat.start(s)
	s.out.pushControl(s.srv.openPacket(s, transportWebSocket))
	s.out.attach(t)
	s.startLocked()
	s.srv.running.Add(1) // Shutdown waits until the connection is parked
	s.mu.Unlock()
	defer s.srv.running.Done()
	// A client has nothing to say before it has read all that.
	if !t.leave() {
		s.srv.running.Go(t.read)
	}
}

// send takes a control frame that gorilla answers with. A close is the last
// frame there is, so it becomes the farewell of the end that follows. A
// candidate sends none: its frames would end up in a poll.
func (t *wsConn) send(m *Message) {
	s := t.session
	s.mu.Lock()
	carries := s.link == t
	if carries && m.opcode == opClose {
		t.farewell = m
	}
	s.mu.Unlock()
	if carries && m.opcode != opClose {
		s.out.pushPong(m)
	}
}

// wake puts the connection on its flusher's next pass, or starts its writer.
func (t *wsConn) wake() {
	if t.socket != nil {
		t.flusher.add(t)
		return
	}
	t.startWriter(nil)
}

// flush writes what waits without waiting for the browser. What the connection
// does not take is left to a writer.
func (t *wsConn) flush(s *scratch) {
	for {
		msgs, last := t.session.out.take(t, s.spare)
		if len(msgs) == 0 {
			t.idle(last)
			return
		}
		dress(msgs, t.form)
		s.spare = nil // it is the outbox's queue now
		for wait := msgs; len(wait) > 0; {
			bufs := s.frames(wait)
			n, err := t.socket.TryWrite(&s.vector, bufs)
			clear(bufs)
			if err != nil {
				t.fail()
				return
			}
			i, partial := skip(wait, n)
			if wait = wait[i:]; len(wait) > 0 && (partial > 0 || n == 0) {
				t.startWriter(rest(wait, partial))
				return
			}
		}
		s.spare = recycle(msgs)
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
	t.session.srv.running.Go(func() { t.write(frames) })
}

func (t *wsConn) write(frames net.Buffers) {
	var spare []*Message
	for {
		if len(frames) > 0 {
			batch := frames // WriteTo consumes its receiver
			if _, err := batch.WriteTo(t.raw); err != nil {
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
		dress(msgs, t.form)
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
		close(t.written)
	}
}

// maxSpare bounds, in messages, the queue space a connection keeps between bursts.
const maxSpare = 64

// fail ends the connection after a write error. It stays the outbox's busy
// consumer, so nothing is written any more.
func (t *wsConn) fail() {
	t.session.Close(ReasonTransportError)
	close(t.written)
	t.conn.Close()
}

// read reads until the connection ends, which it then closes, or falls silent.
func (t *wsConn) read() {
	s := t.session
	t.furnish()
	for {
		if t.park() {
			return
		}
		kind, data, err := t.readMessage()
		if err != nil {
			s.Close(readReason(err))
			<-t.written // our close frame; the teardown bounds it
			t.swallow(err)
			t.end()
			return
		}
		s.in.Lock()
		p, err := s.decodeFrame(kind, data)
		if err == nil {
			s.handle(p)
		}
		s.in.Unlock()
		if err != nil {
			s.Close(ReasonParseError)
		}
	}
}

// swallow reads on after a message that was too large, until the peer has
// answered our close frame, or for as long as expire allows: closing with its
// bytes unread would reset the connection and cost it that frame.
func (t *wsConn) swallow(err error) {
	if errors.Is(err, websocket.ErrReadLimit) {
		_, _ = io.Copy(io.Discard, t.raw)
	}
}

// park leaves a silent connection to the poller, and reports whether it did:
// then the caller must not touch the connection any more.
func (t *wsConn) park() bool {
	return t.buffered.Buffered() == 0 && t.socket != nil && t.socket.Silent() && t.leave()
}

// leave is park without a look whether there is something to read: then the
// poller has it resumed at once.
func (t *wsConn) leave() bool {
	if t.socket == nil {
		return false
	}
	t.strip()
	if t.socket.Park() {
		return true
	}
	t.furnish()
	return false
}

// buffers lend parked connections' read buffers to those that read.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// strip takes the reader's empty buffer away; gorilla keeps the pointer to the
// reader itself.
func (t *wsConn) strip() {
	lent := new(bufio.Reader)
	*lent, *t.buffered = *t.buffered, bufio.Reader{}
	buffers.Put(lent)
}

// furnish gives the reader a buffer, if it has none.
func (t *wsConn) furnish() {
	if t.buffered.Size() == 0 {
		lent := buffers.Get().(*bufio.Reader)
		lent.Reset(t.source)
		*t.buffered = *lent
	}
}

// resume makes sure that there is a reader, until the end.
func (t *wsConn) resume() {
	if t.socket != nil {
		t.socket.Unpark()
	}
}

// inboxes are buffers to read messages into, of a size not known before.
var inboxes = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxInbox bounds, in bytes, the buffers that are kept.
const maxInbox = 64 << 10

func (t *wsConn) readMessage() (kind int, data []byte, err error) {
	kind, r, err := t.conn.NextReader()
	if err != nil {
		return 0, nil, err
	}
	b := inboxes.Get().(*bytes.Buffer)
	b.Reset()
	// gorilla's limit counts the bytes on the wire, before they are inflated.
	limit := t.session.srv.opts.MaxPayload
	_, err = b.ReadFrom(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
	case int64(b.Len()) > limit:
		err = websocket.ErrReadLimit
		t.send(tooLargeFrame)
	default:
		data = bytes.Clone(b.Bytes())
	}
	if b.Cap() <= maxInbox {
		inboxes.Put(b)
	}
	return kind, data, err
}

var errUTF8 = errors.New("text frame is not valid UTF-8")

// decodeFrame reads one WebSocket message: text is a packet, binary a message.
func (s *Session) decodeFrame(kind int, data []byte) (inbound, error) {
	switch {
	case s.protocol == 3 && kind == websocket.BinaryMessage:
		return decodeBinaryV3(data)
	case s.protocol == 3:
		return decodeTextV3(data)
	case kind == websocket.BinaryMessage:
		return inbound{kind: packetMessage, binary: true, data: data}, nil
	}
	if !utf8.Valid(data) {
		return inbound{}, errUTF8
	}
	return decodeText(data)
}

// readReason names the end of the connection as the reference does: a close
// frame or an orderly end of the stream is a close, all else an error.
func readReason(err error) Reason {
	var closed *websocket.CloseError
	if errors.As(err, &closed) || errors.Is(err, io.EOF) {
		return ReasonTransportClose
	}
	return ReasonTransportError
}

// expire bounds everything that is still written to and read from the connection.
func (t *wsConn) expire(d time.Duration) {
	t.conn.SetReadDeadline(time.Now().Add(d))
	t.raw.SetWriteDeadline(time.Now().Add(d))
}

// abandon closes a candidate; its reader ends by itself.
func (t *wsConn) abandon() { t.conn.Close() }

// end marks the connection as gone, once.
func (t *wsConn) end() {
	t.once.Do(func() {
		if t.socket != nil {
			t.socket.Release()
		}
		t.conn.Close()
		close(t.closed)
	})
}

func (t *wsConn) transport() string { return transportWebSocket }

func (t *wsConn) gone() <-chan struct{} { return t.closed }

func (t *wsConn) farewellLocked(reason Reason) *Message {
	if t.farewell != nil {
		return t.farewell
	}
	return reason.closeFrame()
}
