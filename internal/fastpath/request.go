package fastpath

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// take reads the WebSocket handshake that the buffer begins with from c, and
// nothing beyond it: bytes that follow, such as a first frame, stay in c. If the
// buffer begins with anything else, take returns nil and has read nothing. A connection
// that says so itself (Secure) came by TLS, up to a proxy.
func (b *buffer) take(c net.Conn) *http.Request {
	r, n := b.parse()
	if r == nil {
		return nil
	}
	if _, err := io.ReadFull(c, b.head[:n]); err != nil {
		return nil // net/http gets the error, too
	}
	r.RemoteAddr = c.RemoteAddr().String()
	if proxied, ok := c.(interface{ Secure() bool }); ok && proxied.Secure() {
		r.TLS = &tls.ConnectionState{} // that there was one is all that is known
	}
	return r
}

// parse returns the handshake that the buffer begins with, and its length in
// bytes; nil if there is none, or not all of it.
func (b *buffer) parse() (*http.Request, int) {
	n := handshakeLen(b.head[:b.peeked])
	if n == 0 {
		return nil, 0
	}
	b.bytes.Reset(b.head[:n])
	b.reader.Reset(&b.bytes)
	r, err := http.ReadRequest(b.reader)
	// A line may end with a bare LF: then the request may end before n.
	if err != nil || b.reader.Buffered()+b.bytes.Len() > 0 || !valid(r) {
		return nil, 0
	}
	return r, n
}

var (
	get   = []byte("GET /")
	blank = []byte("\r\n\r\n")
	line  = []byte("\r\n")
	colon = []byte(":")
)

// handshakeLen returns the length, in bytes, of the GET for a WebSocket that head
// begins with; 0 if there is none, or not all of it. It is quick, and may take for
// a handshake what is none.
//
// The target must be a path. With an absolute URL, net/http still demands a valid
// Host field, of which http.ReadRequest shows nothing.
func handshakeLen(head []byte) int {
	n := bytes.Index(head, blank) + len(blank)
	if n < len(blank) || !bytes.HasPrefix(head, get) {
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

// valid reports whether net/http would let a handler see the request, without a
// body (net/http.conn.readRequest and .serve), and whether it asks for a WebSocket.
// Requests that are not valid are left to it to answer; so is a GET that has an
// Upgrade field and does not mean it, such as a poll: its handler may wait, and
// nobody here would tell it that its peer has gone.
func valid(r *http.Request) bool {
	if !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") { // RFC 6455, 4.2.1
		return false
	}
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
