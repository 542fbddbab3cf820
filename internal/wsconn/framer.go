package wsconn

import (
	"bufio"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// framer reads frames, by gorilla, for one Conn at a time. What it has is needed only
// while somebody reads: between two messages nothing of the Conn is in it.
//
// With compression that is not so. Who ends the compressed data before its message has
// gorilla skip the rest when it reads the next, so such a Conn keeps its framer.
type framer struct {
	ws     *websocket.Conn
	reader bufio.Reader // under ws; without a buffer while its Conn is silent
	wire   wire         // under reader
	fresh  bool         // of a handshake, of which there are far more than are ever read at once
}

// The sizes, in bytes, of a WebSocket's read buffer. A connection whose reader waits for it keeps
// the small one of its handshake: what browsers send is short as a rule, and a longer message is read past it. One
// that is lent what reading needs has the large one for that while, so that many short messages are one
// read. gorilla takes a reader of ours from 257 bytes on.
const (
	smallBuffer = 512
	largeBuffer = 4 << 10
)

// The read buffers of connections that are not read from.
var (
	smallBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, smallBuffer) }}
	largeBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, largeBuffer) }}
)

// framer returns a framer, with a buffer, that serves nobody.
func (u *Upgrader) framer() *framer {
	if f, _ := u.framers.Get().(*framer); f != nil {
		return f
	}
	return u.newFramer()
}

// newFramer has gorilla make a connection, which it does of a handshake alone: so it gets
// one that nobody sent.
func (u *Upgrader) newFramer() *framer {
	h := &hijacker{}
	ws, err := u.plain.Upgrade(h, &http.Request{Method: http.MethodGet, Header: unsent}, nil)
	if err != nil {
		panic("wsconn: " + err.Error()) // it is always the same
	}
	return h.finish(ws, u)
}

var unsent = http.Header{
	"Connection": {"upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
	"Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
}

// serve has the framer read for c.
func (f *framer) serve(c *Conn) {
	f.wire.Conn, f.wire.serves, f.wire.failed, c.framer = c.conn, c, nil, f
}

// release gives a framer to others, which has read whole messages only.
func (u *Upgrader) release(f *framer) {
	if f.fresh {
		f.lendBuffer()
		return
	}
	f.wire.Conn, f.wire.serves = nil, nil
	u.framers.Put(f)
}

// lendBuffer gives the buffer, which must be empty, to others: gorilla keeps the
// pointer to the reader itself, so that only what it points to changes.
func (f *framer) lendBuffer() {
	buffers := &largeBuffers
	if f.reader.Size() == smallBuffer {
		buffers = &smallBuffers
	}
	idle := new(bufio.Reader)
	*idle, f.reader = f.reader, bufio.Reader{}
	buffers.Put(idle)
}

// takeBuffer gets one of the buffers, if there is none.
func (f *framer) takeBuffer(buffers *sync.Pool) {
	if f.reader.Size() == 0 {
		b := buffers.Get().(*bufio.Reader)
		b.Reset(&f.wire)
		f.reader = *b
	}
}

// hijacker makes gorilla take a framer's wire instead of the connection itself, which is
// that of a request, or none.
type hijacker struct {
	http.ResponseWriter          // nil: there is none
	framer              *framer  // outlives the request, which must not stay with it
	conn                net.Conn // the request's
	early               []byte   // what came with it
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	out := bufio.NewWriterSize(nil, 256) // for the answer
	if h.ResponseWriter != nil {
		c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
		if err != nil {
			return nil, nil, err
		}
		if n := rw.Reader.Buffered(); n > 0 {
			// The first frames came in one piece with the request: an impatient client,
			// or a proxy that joins what it passes on. gorilla would cut it off.
			early, _ := rw.Reader.Peek(n) // it has them
			h.early = append([]byte(nil), early...)
		}
		h.conn, out = c, rw.Writer
	}
	f := &framer{fresh: h.ResponseWriter != nil}
	f.wire.Conn = h.conn
	if f.fresh {
		f.takeBuffer(&smallBuffers)
	} else {
		f.takeBuffer(&largeBuffers)
	}
	h.framer = f
	return &f.wire, bufio.NewReadWriter(&f.reader, out), nil
}

// finish completes the framer of what gorilla has made.
func (h *hijacker) finish(ws *websocket.Conn, u *Upgrader) *framer {
	ws.SetReadLimit(u.opts.MaxMessage)
	h.framer.ws = ws
	return h.framer
}
