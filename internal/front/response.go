package front

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
	buffer   *buffer
	header   http.Header
	status   int
	body     bytes.Buffer
	hijacked bool
}

func (a *response) Header() http.Header { return a.header }

func (a *response) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *response) Write(b []byte) (int, error) {
	if a.hijacked {
		return 0, http.ErrHijacked
	}
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// Hijack implements http.Hijacker.
func (a *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if a.hijacked {
		return nil, nil, http.ErrHijacked
	}
	a.hijacked = true
	// Not the buffer's: who hijacks a connection may keep these. Nothing is in the
	// reader, and the writer holds the answer to a handshake.
	return a.conn, bufio.NewReadWriter(bufio.NewReaderSize(a.conn, 16), bufio.NewWriterSize(a.conn, 256)), nil
}

// send writes the answer. Who does not take it gets no other.
func (a *response) send(r *http.Request) {
	a.WriteHeader(http.StatusOK)
	if a.header.Get("Date") == "" {
		a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	if a.header.Get("Content-Type") == "" && a.body.Len() > 0 {
		a.header.Set("Content-Type", http.DetectContentType(a.body.Bytes()))
	}
	a.header.Del("Content-Length")
	response := &http.Response{
		StatusCode: a.status, ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: a.header,
		ContentLength: int64(a.body.Len()), Body: io.NopCloser(&a.body), Close: true,
	}
	a.buffer.writer.Reset(a.conn)
	if response.Write(a.buffer.writer) == nil {
		a.buffer.writer.Flush()
	}
}
