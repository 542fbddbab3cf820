package fastpath

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// byTLS is the state of a connection that came by TLS to a proxy: that there was one is all
// that is known.
var byTLS = &tls.ConnectionState{}

// parse finds the request that the buffer begins with, if it is one to be served here: a
// handshake, or a poll at this path, with its body. It reports whether there may be a poll when
// more has come; then length is that of all of it, if that is known.
func (b *buffer) parse(path string) (unfinished bool) {
	head := b.head[:b.peeked]
	b.request, b.length, b.handshake = nil, 0, false
	if beginsPoll(head, path) {
		n := bytes.Index(head, blank) + len(blank)
		if n < len(blank) {
			return b.peeked < len(b.head)
		}
		if r := b.parseHead(n); r != nil && isPoll(r) {
			return b.withBody(r, n)
		}
	}
	if n := handshakeLen(head); n > 0 {
		if r := b.parseHead(n); r != nil && isHandshake(r) {
			b.request, b.length, b.handshake = r, n, true
		}
	}
	return false
}

// parseHead returns the request whose head are the first n bytes; nil if it is not valid, or
// shorter.
func (b *buffer) parseHead(n int) *http.Request {
	b.bytes.Reset(b.head[:n])
	b.reader.Reset(&b.bytes)
	r, err := http.ReadRequest(b.reader)
	// A line may end with a bare LF: then the request may end before n.
	if err != nil || b.reader.Buffered()+b.bytes.Len() > 0 || !valid(r) {
		return nil
	}
	return r
}

// withBody is parse for a poll whose head are the first n bytes. It gets its body in place of
// the one that would be read from the buffer.
func (b *buffer) withBody(r *http.Request, n int) (unfinished bool) {
	if r.ContentLength > int64(len(b.head)-n) {
		return false
	}
	b.length = n + int(r.ContentLength)
	if b.length > b.peeked {
		return true
	}
	if b.length > n {
		r.Body = io.NopCloser(bytes.NewReader(bytes.Clone(b.head[n:b.length])))
	}
	b.request = r
	return false
}

var (
	get     = []byte("GET ")
	post    = []byte("POST ")
	blank   = []byte("\r\n\r\n")
	line    = []byte("\r\n")
	colon   = []byte(":")
	polling = []byte("transport=polling")
)

// beginsPoll reports whether head begins with the first line of a poll, or of its POST. It is quick,
// and may take for one what is none.
func beginsPoll(head []byte, path string) bool {
	target, ok := bytes.CutPrefix(head, get)
	if !ok {
		target, ok = bytes.CutPrefix(head, post)
	}
	if !ok || path == "" || len(target) <= len(path) || string(target[:len(path)]) != path || target[len(path)] != '?' {
		return false
	}
	query, _, ok := bytes.Cut(target, line)
	return ok && bytes.Contains(query, polling)
}

// handshakeLen returns the length, in bytes, of the GET for a WebSocket that head
// begins with; 0 if there is none, or not all of it. It is quick, and may take for
// a handshake what is none.
//
// The target must be a path. With an absolute URL, net/http still demands a valid
// Host field, of which http.ReadRequest shows nothing.
func handshakeLen(head []byte) int {
	n := bytes.Index(head, blank) + len(blank)
	if n < len(blank) || !bytes.HasPrefix(head, get) || head[len(get)] != '/' {
		return 0
	}
	for field := range bytes.SplitSeq(head[:n], line) {
		name, value, _ := bytes.Cut(field, colon)
		if len(name) == len("upgrade") && strings.EqualFold(string(name), "upgrade") {
			if !strings.EqualFold(string(bytes.TrimSpace(value)), "websocket") {
				return 0
			}
			return n
		}
	}
	return 0
}

// valid reports whether net/http would let a handler see the request
// (net/http.conn.readRequest and .serve), and whether nothing about it is out of the ordinary.
// Other requests are left to it to answer.
func valid(r *http.Request) bool {
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 || r.Host == "" || !httpguts.ValidHostHeader(r.Host) ||
		r.ContentLength < 0 || len(r.TransferEncoding) != 0 || r.Trailer != nil || r.Header.Get("Expect") != "" {
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

// isHandshake reports whether a valid request asks for a WebSocket. A GET that has an
// Upgrade field and does not mean it is none: its handler may wait, and
// nobody here would tell it that its peer has gone.
func isHandshake(r *http.Request) bool {
	return r.ContentLength == 0 && httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") // RFC 6455, 4.2.1
}

// isPoll reports whether a valid request that begins as a poll is one that leaves the connection open.
func isPoll(r *http.Request) bool {
	for _, v := range r.Header["Connection"] {
		if !strings.EqualFold(v, "keep-alive") {
			return false
		}
	}
	return r.Header["Upgrade"] == nil && r.Header["Expect"] == nil && (r.ContentLength == 0 || r.Method == http.MethodPost)
}
