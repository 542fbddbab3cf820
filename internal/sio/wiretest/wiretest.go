// Package wiretest is for tests: a network inside the process, so that servers
// and clients can live in one synctest bubble, and a client that speaks
// Engine.IO and Socket.IO frame by frame, so that a test sees what is on the
// wire.
package wiretest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// Listener is a net.Listener whose connections are net.Pipes, or Sockets.
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	pair  func() (client, server net.Conn)
}

// Listen returns a Listener whose connections are net.Pipes.
func Listen() *Listener { return listen(net.Pipe) }

// ListenSockets returns a Listener whose connections are Sockets that hold room
// bytes. The server's end is told to accepted.
func ListenSockets(room int, accepted func(*Socket)) *Listener {
	return listen(func() (client, server net.Conn) {
		c, s := SocketPair(room)
		accepted(s)
		return c, s
	})
}

func listen(pair func() (client, server net.Conn)) *Listener {
	return &Listener{conns: make(chan net.Conn), done: make(chan struct{}), pair: pair}
}

// Accept returns the server's end of the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr names the listener.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// Dial returns the client's end of a new connection; network and address do
// not matter, so that it fits an http.Transport and a websocket.Dialer.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := l.pair()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// WS is a WebSocket client. Its own methods may be called at once as far as one
// reads and any number write.
type WS struct {
	t testing.TB
	*websocket.Conn
	writing chan struct{} // holds one; a mutex would stop the clock of package synctest
}

// DialWS opens a WebSocket with this query and these headers (name, value, ...).
// When the server refuses, its answer comes back with the error.
func (l *Listener) DialWS(t testing.TB, query string, headers ...string) (*WS, *http.Response, error) {
	d := websocket.Dialer{NetDialContext: l.Dial}
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	c, res, err := d.Dial("ws://server/socket.io/?"+query, h)
	if err != nil {
		return nil, res, err
	}
	return &WS{t: t, Conn: c, writing: make(chan struct{}, 1)}, res, nil
}

// MustDialWS is DialWS where the server has to accept.
func (l *Listener) MustDialWS(t testing.TB, query string) *WS {
	t.Helper()
	c, res, err := l.DialWS(t, query)
	if err != nil {
		t.Fatalf("dial %s: %v", query, err)
	}
	res.Body.Close() // gorilla has left nothing in it
	return c
}

// Connect opens a session over WebSocket and joins namespace ("" for the default
// one, else as "/chat"); it returns the Socket.IO id.
func (l *Listener) Connect(t testing.TB, namespace string) (*WS, string) {
	t.Helper()
	c := l.MustDialWS(t, "EIO=4&transport=websocket")
	c.Next() // open
	return c, c.Join(namespace)
}

// Join joins a namespace and returns the Socket.IO id.
func (c *WS) Join(namespace string) string {
	c.t.Helper()
	head := "40"
	if namespace != "" {
		head += namespace + ","
	}
	c.Say(head)
	reply := c.Next()
	var o struct{ SID string }
	if body, ok := strings.CutPrefix(reply, head); !ok || json.Unmarshal([]byte(body), &o) != nil || o.SID == "" {
		c.t.Fatalf("CONNECT to %q answered %q", namespace, reply)
	}
	return o.SID
}

// Say sends a text message.
func (c *WS) Say(text string) {
	c.t.Helper()
	if err := c.write(websocket.TextMessage, text); err != nil {
		c.t.Fatalf("write %q: %v", text, err)
	}
}

// SayBinary sends a binary message.
func (c *WS) SayBinary(data string) {
	c.t.Helper()
	if err := c.write(websocket.BinaryMessage, data); err != nil {
		c.t.Fatalf("write %d bytes: %v", len(data), err)
	}
}

// SayLater sends text messages from a goroutine of its own, for a browser that
// is held up; it stops silently when the connection ends.
func (c *WS) SayLater(texts ...string) {
	go func() {
		for _, text := range texts {
			if c.write(websocket.TextMessage, text) != nil {
				return
			}
		}
	}()
}

// Idle reads and forgets whatever comes, and answers pings, from a goroutine of
// its own until the connection ends.
func (c *WS) Idle() {
	go func() {
		for {
			_, m, err := c.ReadMessage()
			if err != nil {
				return
			}
			if string(m) == "2" {
				c.SayLater("3")
			}
		}
	}()
}

func (c *WS) write(kind int, data string) error {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	return c.WriteMessage(kind, []byte(data))
}

// Next returns the next message, binary ones behind "binary:".
func (c *WS) Next() string {
	c.t.Helper()
	kind, b, err := c.ReadMessage()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	if kind == websocket.BinaryMessage {
		return "binary:" + string(b)
	}
	return string(b)
}

// Closed reads until the connection ends and returns how.
func (c *WS) Closed() error {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			c.Close()
			return err
		}
	}
}

// MustClose reads until the connection ends and wants this close frame.
func (c *WS) MustClose(code int, text string) {
	c.t.Helper()
	err := c.Closed()
	var ce *websocket.CloseError
	if !errors.As(err, &ce) || ce.Code != code || ce.Text != text {
		c.t.Errorf("closed with %v, want %d %q", err, code, text)
	}
}
