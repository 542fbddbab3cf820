package wsconn

import (
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// Options of an [Upgrader].
type Options struct {
	// MaxMessage bounds, in bytes, one message from the peer, on the wire and
	// inflated.
	MaxMessage int64
	// Deflate says that compression is agreed on with clients that offer it.
	Deflate bool
}

// Upgrader makes WebSockets of HTTP requests. It is safe for concurrent use.
type Upgrader struct {
	opts            Options
	plain, deflated websocket.Upgrader
	framers         sync.Pool // of *framer: those of connections that are not read from, without compression
}

// NewUpgrader returns an Upgrader.
func NewUpgrader(opts Options) *Upgrader {
	u := &Upgrader{opts: opts, plain: websocket.Upgrader{
		// The read buffer is ours, see framer, and so are the frames: the pool
		// serves gorilla's few.
		WriteBufferSize: 512,
		WriteBufferPool: &sync.Pool{},
		CheckOrigin:     func(*http.Request) bool { return true }, // the caller's business
	}}
	u.deflated = u.plain
	u.deflated.EnableCompression = true
	return u
}

// IsUpgrade reports whether the request asks for a WebSocket.
func IsUpgrade(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// Upgrade answers the request, with header added to the answer, and makes c, which is
// zero, its WebSocket. Origins are the caller's business. The first of the subprotocols that
// the client offers is agreed on: browsers fail a connection that names some and
// gets none. On an error the request has been answered.
//
// The answer is not held back to share a system call with what follows: a client
// that listens for messages only once it is open is likelier to miss the first
// when both come at once.
func (u *Upgrader) Upgrade(c *Conn, w http.ResponseWriter, r *http.Request, header http.Header) error {
	gorilla := &u.plain
	deflate := u.opts.Deflate && acceptsDeflate(r.Header["Sec-Websocket-Extensions"])
	if deflate {
		// gorilla takes the first offer, whatever its parameters say.
		gorilla = &u.deflated
		agreed := *r
		agreed.Header = maps.Clone(r.Header)
		agreed.Header["Sec-Websocket-Extensions"] = []string{"permessage-deflate"}
		r = &agreed
	}
	if p := firstSubprotocol(r.Header); p != "" {
		if header = maps.Clone(header); header == nil {
			header = http.Header{}
		}
		header["Sec-Websocket-Protocol"] = []string{p}
	}
	h := &hijacker{ResponseWriter: w}
	ws, err := gorilla.Upgrade(h, r, header)
	if err != nil {
		return err
	}
	c.upgrader, c.conn, c.early, c.deflate = u, h.conn, h.early, deflate
	h.finish(ws, u).serve(c)
	return nil
}

// firstSubprotocol returns the first that the client offers, if it is a token.
func firstSubprotocol(h http.Header) string {
	first, _, _ := strings.Cut(h.Get("Sec-Websocket-Protocol"), ",")
	if first = strings.Trim(first, blanks); !isToken(first) {
		return ""
	}
	return first
}
