package wsconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Conn is one WebSocket, as read from through gorilla. [Upgrader.Upgrade] makes it; it
// must not be copied.
type Conn struct {
	upgrader *Upgrader
	conn     net.Conn
	early    []byte         // came with the handshake; read first
	control  ControlHandler // takes gorilla's frames; nil: dropped
	reading  func(func())   // wraps each read; nil: none
	framer   *framer        // the reader's; nil: given back
	deflate  bool
	drained  bool // see Drained
}

// ControlHandler takes the frames that answer the peer: pongs, and a close frame, which
// is the last.
type ControlHandler interface {
	// Answer is called by the reader. It owns the frame.
	Answer(frame []byte)
}

// ErrTooLarge is the end of a connection over a message beyond the limit. A close
// frame that says so went to [Conn.HandleControl]'s function.
var ErrTooLarge = errors.New("wsconn: message too large")

// GoingAway is the status of a page that was closed (RFC 6455, 7.4.1).
const GoingAway = websocket.CloseGoingAway

// tooLarge is the close frame that goes with ErrTooLarge, as gorilla lays it out
// when it is the one to notice.
var tooLarge = append(AppendHeader(nil, OpClose, 2), websocket.CloseMessageTooBig>>8, websocket.CloseMessageTooBig&0xff)

// Deflate reports whether compression was agreed on.
func (c *Conn) Deflate() bool { return c.deflate }

// NetConn returns the connection under the WebSocket, to write frames to.
func (c *Conn) NetConn() net.Conn { return c.conn }

// HandleControl sets what takes the frames that answer the peer. It is to be set before
// the first read.
func (c *Conn) HandleControl(h ControlHandler) { c.control = h }

// WrapReads has each read from the connection made through f, which must call its
// argument once; nil ends that. It is the reader's to call.
func (c *Conn) WrapReads(f func(read func())) { c.reading = f }

// SetReadDeadline bounds the reads; a zero time lifts the bound.
func (c *Conn) SetReadDeadline(t time.Time) { c.conn.SetReadDeadline(t) }

// Close closes the connection under the WebSocket, without a word.
func (c *Conn) Close() error { return c.conn.Close() }

// messages are buffers to read messages into, of a size not known before.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxKept bounds, in bytes, the buffers that are kept.
const maxKept = 64 << 10

// ReadMessage reads one message and returns it with its opcode. The data is the
// caller's. After an error no other call may follow.
func (c *Conn) ReadMessage() (opcode byte, data []byte, err error) {
	if !c.deflate { // gorilla may have left a part of a compressed message
		if opcode, data, ok := c.framer.whole(c.upgrader.opts.MaxMessage); ok {
			return opcode, data, nil
		}
	}
	kind, r, err := c.framer.ws.NextReader()
	if err != nil {
		return 0, nil, known(err)
	}
	limit := c.upgrader.opts.MaxMessage
	b := messages.Get().(*bytes.Buffer)
	b.Reset()
	// gorilla's limit counts the bytes on the wire, before they are inflated.
	_, err = b.ReadFrom(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		err = known(err)
	case int64(b.Len()) > limit:
		err = ErrTooLarge
		if c.control != nil {
			c.control.Answer(bytes.Clone(tooLarge))
		}
	default:
		data = bytes.Clone(b.Bytes())
	}
	if b.Cap() <= maxKept {
		messages.Put(b)
	}
	return byte(kind), data, err
}

func known(err error) error {
	if errors.Is(err, websocket.ErrReadLimit) {
		return ErrTooLarge
	}
	return err
}

// CloseStatus returns the status of the close frame that ended the reading: 1005
// if it had none, 1006 if the stream ended without one, 0 if err is something else.
func CloseStatus(err error) int {
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return closed.Code
	}
	return 0
}

// Discard reads what still comes, until the end or the read deadline.
func (c *Conn) Discard() {
	_, _ = io.Copy(io.Discard, c.conn)
}

// Buffered returns how many bytes were read from the connection, and not yet as
// messages.
func (c *Conn) Buffered() int { return c.framer.reader.Buffered() + len(c.early) }

// Drained reports whether the last read found less than there was room for: all that had
// come by then.
func (c *Conn) Drained() bool { return c.drained }

// Release gives what reading needs to other connections. Nothing may be buffered. It is
// the reader's to call, between two messages.
func (c *Conn) Release() {
	if c.deflate {
		c.framer.lendBuffer()
		return
	}
	c.upgrader.release(c.framer)
	c.framer = nil
}

// Acquire gets what reading needs, if it is not there.
func (c *Conn) Acquire() {
	if c.framer == nil {
		c.upgrader.framer().serve(c)
	}
	c.framer.takeBuffer(&largeBuffers)
}
