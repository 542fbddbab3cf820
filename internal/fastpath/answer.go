package fastpath

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// answer is the ResponseWriter of one poll. Head and body are written together: once the body
// is as long as the handler has said that it is, or, where it has not said that, once the handler
// has returned. It cannot be hijacked, and Flush does not send a body of unknown length.
type answer struct {
	conn    *conn
	header  http.Header // the handler's
	status  int         // 0: not set
	length  int64       // of the body, in bytes; unknown: negative
	written int64       // bytes of the body
	close   bool        // the connection is to end with it
	dated   bool        // the handler has said when it was made
	sniffed bool        // it has not said what the body is, which is looked at
	err     error       // of the first write that failed
	*output             // nil until the status is set: a poll that waits occupies none

	// Guarded by conn.mu.
	by    time.Time // the write deadline; zero: there is none
	waits bool      // for the client to take something
}

// output is what is to be written.
type output struct {
	head   lines // at first without its end
	body   []byte
	opened bool // the head is complete
}

// lines is a head of HTTP that is appended to.
type lines []byte

// field appends a field, with what could end its line made spaces, as net/http has it.
func (l *lines) field(name, value string) {
	if strings.ContainsAny(value, "\r\n") {
		value = strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	}
	*l = append(append(append(append(*l, name...), ": "...), strings.Trim(value, " \t")...), "\r\n"...)
}

// unknown is the length of a body that the handler has not said.
const unknown = -1

// maxJoined is up to how many bytes a body is copied behind its head, to be written in one piece.
const maxJoined = 16 << 10

// maxTried bounds, in bytes, what is written by a system call that the scheduler does not hear of.
const maxTried = 64 << 10

var outputs = sync.Pool{New: func() any { return &output{head: make(lines, 0, 1<<10)} }}

func newAnswer(c *conn) *answer {
	return &answer{conn: c, header: http.Header{}, length: unknown}
}

// release gives the memory of the answer to others.
func (w *answer) release() {
	o := w.output
	w.output = nil
	if o == nil || cap(o.head) > 2*maxJoined || cap(o.body) > 2*maxJoined {
		return // as large as few are
	}
	*o = output{head: o.head[:0], body: o.body[:0]}
	outputs.Put(o)
}

func (w *answer) Header() http.Header { return w.header }

// WriteHeader sets the status. What the handler does to the header from then on has no
// effect.
func (w *answer) WriteHeader(status int) {
	if w.status != 0 || status < http.StatusOK { // what goes before an answer is not sent
		return
	}
	w.status, w.output = status, outputs.Get().(*output)
	w.statusLine()
	var few [16]string
	names := few[:0]
	for name := range w.header {
		names = append(names, name)
	}
	slices.Sort(names) // answers that are alike look alike
	w.sniffed, w.dated = true, false
	for _, name := range names {
		values := w.header[name]
		switch name {
		case "Content-Length":
			w.declare(values)
			continue
		case "Transfer-Encoding":
			continue
		case "Content-Type":
			if status == http.StatusNotModified {
				continue
			}
			w.sniffed = false
		case "Content-Encoding":
			w.sniffed = w.sniffed && w.header.Get(name) == ""
		case "Connection":
			w.close = len(values) > 0 && values[0] == "close"
			continue
		case "Date":
			w.dated = true
		}
		if httpguts.ValidHeaderFieldName(name) {
			for _, v := range values {
				w.head.field(name, v)
			}
		}
	}
	if !hasBody(status) {
		w.length = 0
	}
	if w.conn.listener.server.closing.Load() {
		w.close = true
	}
}

// declare takes the handler's word for the length of the body.
func (w *answer) declare(values []string) {
	if len(values) > 0 {
		if n, err := strconv.ParseUint(values[0], 10, 63); err == nil {
			w.length = int64(n)
		}
	}
}

// complete ends the head of an answer whose body begins with first.
func (w *answer) complete(first []byte) {
	if !w.dated {
		w.head = append(w.head, "Date: "...)
		w.head = append(time.Now().UTC().AppendFormat(w.head, http.TimeFormat), "\r\n"...)
	}
	if hasBody(w.status) {
		w.head = append(w.head, "Content-Length: "...)
		w.head = append(strconv.AppendInt(w.head, w.length, 10), "\r\n"...)
		if w.sniffed && len(first) > 0 {
			w.head.field("Content-Type", http.DetectContentType(first))
		}
	}
	if w.close {
		w.head.field("Connection", "close")
	}
	w.head = append(w.head, "\r\n"...)
}

// statusLine is the first line of the head, as net/http has it.
func (w *answer) statusLine() {
	if w.status == http.StatusOK {
		w.head = append(w.head, "HTTP/1.1 200 OK\r\n"...)
		return
	}
	w.head = append(w.head, "HTTP/1.1 "...)
	w.head = append(strconv.AppendInt(w.head, int64(w.status), 10), ' ')
	w.head = append(w.head, cmp.Or(http.StatusText(w.status), "status code "+strconv.Itoa(w.status))...)
	w.head = append(w.head, "\r\n"...)
}

// hasBody reports whether an answer with the status may have a body (RFC 9110, 15).
func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

func (w *answer) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	switch {
	case len(b) == 0:
		return 0, w.err
	case !hasBody(w.status):
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(b))
	if w.length != unknown && w.written > w.length {
		return 0, http.ErrContentLength
	}
	if w.written == w.length {
		w.send(b)
	} else {
		w.body = append(w.body, b...)
		if w.length != unknown && len(w.body) > maxJoined {
			w.send(nil)
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	return len(b), nil
}

// FlushError implements what [http.ResponseController] looks for.
func (w *answer) FlushError() error {
	w.WriteHeader(http.StatusOK)
	if w.length != unknown {
		w.send(nil)
	}
	return w.err
}

// Flush implements http.Flusher.
func (w *answer) Flush() { _ = w.FlushError() }

// SetReadDeadline has no effect: all of the request was read before it was served.
func (w *answer) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline bounds how long the client may take for the answer. It may be called while that
// is written.
func (w *answer) SetWriteDeadline(t time.Time) error {
	c := w.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	w.by = t
	if w.waits {
		return c.SetWriteDeadline(t)
	}
	return nil
}

// finish sends what was not sent yet, and reports whether the connection can carry another
// answer.
func (w *answer) finish() bool {
	w.WriteHeader(http.StatusOK)
	if w.length == unknown {
		w.length = w.written
	}
	w.send(nil)
	return w.written == w.length && !w.close && w.err == nil
}

// send writes what waits, and b after it.
func (w *answer) send(b []byte) {
	if w.err != nil || w.opened && len(w.body)+len(b) == 0 {
		return
	}
	if !w.opened {
		w.opened = true
		first := w.body
		if len(first) == 0 {
			first = b
		}
		w.complete(first)
	}
	if len(w.body)+len(b) <= maxJoined {
		w.head = append(append(w.head, w.body...), b...)
		w.write(w.head)
	} else {
		w.write(w.head)
		w.write(w.body)
		w.write(b)
	}
	w.head, w.body = w.head[:0], w.body[:0]
}

// write writes b. The deadline is the connection's only while that takes none of b, which is
// seldom.
func (w *answer) write(b []byte) {
	if w.err != nil || len(b) == 0 {
		return
	}
	c := w.conn
	if b = b[c.tryWrite(b[:min(len(b), maxTried)]):]; len(b) == 0 {
		return
	}
	w.wait(true)
	_, w.err = c.Write(b)
	w.wait(false)
}

// wait notes whether the answer waits for the client.
func (w *answer) wait(waits bool) {
	c := w.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	w.waits = waits
	switch {
	case w.by.IsZero():
	case waits:
		c.SetWriteDeadline(w.by)
	default:
		c.SetWriteDeadline(time.Time{})
	}
}
