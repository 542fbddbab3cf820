package engineio

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"time"
)

// wire is the connection gorilla gets: it reads from the real one, and what
// gorilla writes by itself after the handshake, answers to control frames and
// to protocol errors, goes to the session's outbox like all else. So nobody but
// the outbox's consumer ever writes to the connection, or waits for it.
type wire struct {
	net.Conn
	ws      *wsConn // nil during the handshake
	deflate bool    // the answer to the handshake agreed to compress messages
}

// Write takes the answer to the handshake, and later one frame of gorilla's.
func (w *wire) Write(b []byte) (int, error) {
	if w.ws == nil {
		w.deflate = w.deflate || bytes.Contains(b, []byte("permessage-deflate"))
		return w.Conn.Write(b) // into an empty socket buffer: it does not wait
	}
	w.ws.send(rawFrame(b))
	return len(b), nil
}

// SetWriteDeadline has no meaning for what is only queued.
func (w *wire) SetWriteDeadline(time.Time) error {
	return nil
}

// hijacker makes gorilla take a wire instead of the connection itself.
type hijacker struct {
	http.ResponseWriter
	wire   *wire         // outlives the request, which must not stay with it
	reader *bufio.Reader // gorilla's, known to us too
}

// readBuffer is the size, in bytes, of a WebSocket's read buffer: what browsers
// send is small as a rule, and a longer message is read past it. gorilla takes
// a reader of ours from 257 bytes on.
const readBuffer = 512

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.wire = &wire{Conn: c}
	if rw.Reader.Buffered() == 0 { // else gorilla refuses
		h.reader = bufio.NewReaderSize(h.wire, readBuffer)
		rw = bufio.NewReadWriter(h.reader, rw.Writer)
	}
	return h.wire, rw, nil
}
