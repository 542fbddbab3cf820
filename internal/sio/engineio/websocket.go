package engineio

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/fanoutd/fanoutd/internal/netpoll"
	"github.com/fanoutd/fanoutd/internal/stack"
	"github.com/fanoutd/fanoutd/internal/wsconn"
)

// wsConn is one WebSocket: a session's writer, or the candidate to become it.
//
// Messages are read through package wsconn. Frames are written to the connection
// under it, all that wait in one system call: by the session's flusher as long as
// the connection takes them at once, else by a goroutine of its own until nothing
// waits any more.
type wsConn struct {
	session *Session
	conn    wsconn.Conn
	socket  *netpoll.Conn // &polled; nil: every burst has a goroutine that writes it, and nothing is parked
	polled  netpoll.Conn  // conn's, where it is a socket that can be watched
	flusher *flusher
	framing framing     // of what is written
	written latch       // the last was written
	closed  latch       // the reader has ended and the connection is closed
	ended   atomic.Bool // its end has begun: a third of a sync.Once
	slow    atomic.Bool // a goroutine writes, for it did not take all at once

	answer *Message // the close frame that answers the peer's, if there is one; guarded by Session.mu
}

// acceptWebSocket answers the request and returns its WebSocket. On an error the request
// has been answered.
func (s *Session) acceptWebSocket(w http.ResponseWriter, r *http.Request) (*wsConn, error) {
	t := &wsConn{session: s, flusher: s.srv.flushers.of(s.number)}
	if err := s.srv.upgrader.Upgrade(&t.conn, w, r, s.srv.upgradeHeaders(r)); err != nil {
		return nil, err
	}
	if socket := s.srv.poller.Socket(t.conn.NetConn()); socket != nil {
		t.polled.Init(socket, t)
		t.socket = &t.polled
	}
	t.framing = s.framingFor(r)
	if t.conn.Deflate() {
		t.framing |= framingDeflate
	}
	t.conn.HandleControl(t)
	return t, nil
}

// Ready implements [netpoll.Reader].
func (t *wsConn) Ready() {
	t.session.srv.running.Add(1)
	t.session.srv.readers.read(t)
}

// openWebSocket upgrades the request that opened the session.
func (s *Session) openWebSocket(w http.ResponseWriter, r *http.Request) {
	t, err := s.acceptWebSocket(w, r)
	if err != nil {
		s.Close(ReasonTransportError)
		return
	}
	if !s.openLink(t) {
		t.abort()
		return
	}
	defer s.srv.running.Done()
	// A client has nothing to say, as a rule, before it has read all that.
	if !t.leave() {
		s.srv.running.Go(func() {
			stack.Reserve()
			t.read(false)
		})
	}
}

// maxLate bounds, in bytes, what is read of messages that come after the session's end, until the peer
// answers the close frame or the time for that is up: more than sockets hold, so that it was sent after
// that frame could have been read.
const maxLate = 16 << 20

// leastFrame is what the shortest message of a client takes, in bytes.
const leastFrame = 6

// read reads until the connection ends, which it then closes, or falls silent. Input
// says that there is something to read, or the end.
func (t *wsConn) read(input bool) {
	s := t.session
	t.conn.Acquire()
	late := 0 // bytes that came after the end
	for ; ; input = false {
		if !input && t.park() {
			return
		}
		opcode, data, err := t.conn.ReadMessage()
		if err != nil {
			s.CloseWith(readReason(err))
			<-t.written.done() // our close frame; the teardown bounds it
			if errors.Is(err, wsconn.ErrTooLarge) {
				// Closing with bytes unread would reset the connection and cost the
				// peer our close frame. expire bounds this.
				t.conn.Discard()
			}
			t.end()
			return
		}
		s.in.Lock()
		p, err := s.decodeFrame(opcode, data)
		if err != nil || !s.handle(transportWebSocket, p) {
			late += len(data) + leastFrame
		}
		s.in.Unlock()
		if err != nil {
			s.CloseWith(ReasonParseError, err.Error())
		}
		if late > maxLate {
			t.abort()
		}
	}
}

// park leaves a silent connection to the poller, and reports whether it did:
// then the caller must not read any more. After a read that found all there was, it does
// not look once more, which would find nothing.
func (t *wsConn) park() bool {
	return t.socket != nil && t.conn.Buffered() == 0 && (t.conn.Drained() || t.socket.Silent()) && t.leave()
}

// leave is park without a look whether there is something to read: then the
// poller has it resumed at once.
func (t *wsConn) leave() bool {
	if t.socket == nil || t.conn.Buffered() > 0 {
		return false
	}
	t.conn.Release()
	if t.socket.Park() {
		return true
	}
	t.conn.Acquire()
	return false
}

// ensureReader makes sure that there is a reader, until the end.
func (t *wsConn) ensureReader() {
	if t.socket != nil {
		t.socket.Unpark()
	}
}

var errUTF8 = errors.New("text frame is not valid UTF-8")

// decodeFrame reads one WebSocket message: text is a packet, binary a message.
func (s *Session) decodeFrame(opcode byte, data []byte) (inbound, error) {
	switch {
	case s.protocol == 3 && opcode == wsconn.OpBinary:
		return decodeBinaryV3(data)
	case s.protocol == 3:
		return decodeTextV3(data)
	case opcode == wsconn.OpBinary:
		return inbound{kind: packetMessage, binary: true, data: data}, nil
	}
	if !utf8.Valid(data) {
		return inbound{}, errUTF8
	}
	return decodeText(data)
}

// readReason names the end of the connection as the reference does: a close
// frame or an orderly end of the stream is a close, all else an error.
func readReason(err error) (reason Reason, detail string) {
	if wsconn.CloseStatus(err) != 0 || errors.Is(err, io.EOF) {
		return ReasonTransportClose, ""
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err // without the addresses, of which one is ours
	}
	return ReasonTransportError, err.Error()
}

// expire bounds everything that is still written to and read from the connection.
func (t *wsConn) expire(d time.Duration) {
	t.conn.SetReadDeadline(time.Now().Add(d))
	t.conn.NetConn().SetWriteDeadline(time.Now().Add(d))
}

// abort closes the connection; its reader ends by itself.
func (t *wsConn) abort() { t.conn.Close() }

// end marks the connection as gone, once.
func (t *wsConn) end() {
	if t.ended.Swap(true) {
		return
	}
	if t.socket != nil {
		t.socket.Release()
	}
	t.conn.Close()
	t.closed.set()
}

func (t *wsConn) transport() string { return transportWebSocket }

func (t *wsConn) gone() <-chan struct{} { return t.closed.done() }

func (t *wsConn) lastMessageLocked(frame *Message) *Message {
	if t.answer != nil {
		return t.answer
	}
	return frame
}
