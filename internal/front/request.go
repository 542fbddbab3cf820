package front

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// buffer is the space to read one request in, and to begin an answer.
type buffer struct {
	head   [maxHead]byte
	peeked int // bytes of head that are filled
	bytes  bytes.Reader
	reader *bufio.Reader
	writer *bufio.Writer
}

// maxHead bounds, in bytes, the requests that are looked at. What browsers send
// is a kilobyte, with large cookies more.
const maxHead = 4 << 10

var buffers = sync.Pool{New: func() any {
	return &buffer{reader: bufio.NewReaderSize(nil, maxHead), writer: bufio.NewWriterSize(nil, 512)}
}}

// read takes a request for a WebSocket from the connection, the whole and nothing
// else. Otherwise it returns nil and has taken nothing.
func (d *buffer) read(c conn) *http.Request {
	head := d.head[:d.peeked]
	if !isHandshake(head) {
		return nil
	}
	d.bytes.Reset(head)
	d.reader.Reset(&d.bytes)
	r, err := http.ReadRequest(d.reader)
	if err != nil || !valid(r) {
		return nil
	}
	if _, err := io.ReadFull(c, head); err != nil {
		return nil // net/http will see it too
	}
	r.RemoteAddr = c.RemoteAddr().String()
	return r
}

var (
	get   = []byte("GET ")
	blank = []byte("\r\n\r\n")
	line  = []byte("\r\n")
	colon = []byte(":")
)

// isHandshake reports whether head is one complete GET that asks for a WebSocket,
// with nothing after it.
func isHandshake(head []byte) bool {
	if !bytes.HasPrefix(head, get) || bytes.Index(head, blank) != len(head)-len(blank) {
		return false
	}
	for field := range bytes.SplitSeq(head, line) {
		name, value, _ := bytes.Cut(field, colon)
		if len(name) == len("upgrade") && strings.EqualFold(string(name), "upgrade") {
			return strings.EqualFold(string(bytes.TrimSpace(value)), "websocket")
		}
	}
	return false
}

// valid reports whether net/http would let a handler see the request. If not, it
// is the one to say so.
func valid(r *http.Request) bool {
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Host == "" || !httpguts.ValidHostHeader(r.Host) ||
		r.ContentLength != 0 || len(r.TransferEncoding) != 0 || r.Header.Get("Expect") != "" {
		return false
	}
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return false
			}
		}
	}
	return true
}
