package fastpath

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"time"
)

// response is the ResponseWriter of one handshake. An answer that is no WebSocket
// is sent as a whole, and ends the connection.
type response struct {
	conn     net.Conn
	header   http.Header // the handler's
	sent     http.Header // what it was when the status was set
	status   int         // 0: not set
	body     bytes.Buffer
	hijacked bool
	onHijack func()
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 && !w.hijacked {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *response) Write(b []byte) (int, error) {
	if w.hijacked {
		return 0, http.ErrHijacked
	}
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Hijack implements http.Hijacker. The reader has nothing buffered: what the
// client sent after its handshake is still in the connection.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.hijacked {
		return nil, nil, http.ErrHijacked
	}
	w.hijacked = true
	w.onHijack()
	// Small: a handler that hijacks a connection keeps these, and the writer gets the answer
	// to a handshake.
	return w.conn, bufio.NewReadWriter(bufio.NewReaderSize(w.conn, 16), bufio.NewWriterSize(w.conn, 256)), nil
}

// send writes the answer. The caller has set a deadline for the peer to take it.
func (w *response) send(r *http.Request) {
	w.WriteHeader(http.StatusOK)
	if w.sent.Get("Date") == "" {
		w.sent.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	if w.sent.Get("Content-Type") == "" && w.body.Len() > 0 {
		w.sent.Set("Content-Type", http.DetectContentType(w.body.Bytes()))
	}
	w.sent.Del("Content-Length")
	answer := &http.Response{
		StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: w.sent,
		ContentLength: int64(w.body.Len()), Body: io.NopCloser(&w.body), Close: true,
	}
	out := bufio.NewWriterSize(w.conn, 512)
	if answer.Write(out) == nil && out.Flush() == nil {
		w.drain()
	}
}

// lingerTimeout is how long a connection is read from after its answer. net/http
// waits as long (rstAvoidanceDelay).
const lingerTimeout = 500 * time.Millisecond

// drain reads what the client sent after its handshake, until it closes the
// connection: closing a socket with unread bytes resets the connection, which can
// cost the client the answer.
func (w *response) drain() {
	c, ok := w.conn.(interface{ CloseWrite() error })
	if !ok || c.CloseWrite() != nil {
		return
	}
	w.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	_, _ = io.Copy(io.Discard, io.LimitReader(w.conn, maxRequest))
}
