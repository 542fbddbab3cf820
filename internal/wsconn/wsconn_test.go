package wsconn

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// serve returns a server that hands each of its WebSockets to f, which may close it.
func serve(t *testing.T, opts Options, header http.Header, f func(*Conn)) (addr string) {
	t.Helper()
	u := NewUpgrader(opts)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := new(Conn); u.Upgrade(c, w, r, header) == nil {
			f(c)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// answers writes the frames that answer the peer.
type answers struct{ c *Conn }

func (a answers) Answer(frame []byte) { a.c.NetConn().Write(frame) }

// echo sends each message back, and the frames that answer the peer.
func echo(c *Conn) {
	defer c.Close()
	c.HandleControl(answers{c})
	for {
		opcode, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		c.NetConn().Write(append(AppendHeader(nil, opcode, len(data)), data...))
	}
}

func handshake(extra string) string {
	return "GET / HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + extra + "\r\n"
}

// dial sends a handshake, in one piece with more, and returns the answer.
func dial(t *testing.T, addr, extra string, more []byte) (*http.Response, *bufio.Reader, net.Conn) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.Write(append([]byte(handshake(extra)), more...))
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return res, r, c
}

func masked(opcode byte, data string) []byte {
	b := AppendHeader(nil, opcode, len(data))
	b[1] |= 0x80
	return append(append(b, 0, 0, 0, 0), data...) // a mask of zeros
}

func TestSubprotocol(t *testing.T) {
	addr := serve(t, Options{MaxMessage: 100}, http.Header{"X-Also": {"this"}}, echo)
	for offered, want := range map[string]string{
		"":                       "",
		"my.token":               "my.token",
		"my.token, other":        "my.token",
		"  second\t,first":       "second",
		", x":                    "",
		"no token, x":            "",
		"quoted\"":               "",
		strings.Repeat("x", 500): strings.Repeat("x", 500),
	} {
		extra := ""
		if offered != "" {
			extra = "Sec-WebSocket-Protocol: " + offered + "\r\n"
		}
		res, _, _ := dial(t, addr, extra, nil)
		if got := res.Header.Get("Sec-WebSocket-Protocol"); res.StatusCode != 101 || got != want {
			t.Errorf("%q was answered %d %q, want %q", offered, res.StatusCode, got, want)
		}
		if res.Header.Get("X-Also") != "this" {
			t.Errorf("%q: the header is missing", offered)
		}
	}
}

func TestExtension(t *testing.T) {
	const taken = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, tt := range []struct {
		deflate bool
		offer   string
		want    string
	}{
		{true, "permessage-deflate; client_max_window_bits", taken},
		{true, "permessage-deflate; server_max_window_bits=9", ""},
		{true, "permessage-deflate; server_max_window_bits=9, permessage-deflate; client_max_window_bits=9", taken},
		{true, "foo", ""},
		{false, "permessage-deflate", ""},
	} {
		agreed := make(chan bool, 1)
		addr := serve(t, Options{MaxMessage: 100, Deflate: tt.deflate}, nil, func(c *Conn) { agreed <- c.Deflate(); c.Close() })
		res, _, _ := dial(t, addr, "Sec-WebSocket-Extensions: "+tt.offer+"\r\n", nil)
		if got := res.Header.Get("Sec-WebSocket-Extensions"); res.StatusCode != 101 || got != tt.want {
			t.Errorf("%q was answered %d %q, want %q", tt.offer, res.StatusCode, got, tt.want)
		}
		if got := <-agreed; got != (tt.want != "") {
			t.Errorf("%q: Deflate = %v", tt.offer, got)
		}
	}
}

// What comes in one piece with the handshake is read as the first frames.
func TestEarlyFrames(t *testing.T) {
	addr := serve(t, Options{MaxMessage: 10_000}, nil, echo)
	for _, n := range []int{1, 10, 3000} { // the last is longer than the read buffer
		want := strings.Repeat("x", n)
		early := append(masked(OpText, want), masked(OpText, "second")...)
		res, r, c := dial(t, addr, "", early)
		if res.StatusCode != 101 {
			t.Fatalf("status %d", res.StatusCode)
		}
		c.Write(masked(OpBinary, "third"))
		for _, want := range []string{want, "second", "third"} {
			got := make([]byte, len(AppendHeader(nil, OpText, len(want)))+len(want))
			if _, err := io.ReadFull(r, got); err != nil || !bytes.HasSuffix(got, []byte(want)) {
				t.Fatalf("%d early bytes: got %q, %v, want %q", n, got, err, want)
			}
		}
	}
}

// echoBetween is echo that has nothing of gorilla's between two messages.
func echoBetween(c *Conn) {
	defer c.Close()
	c.HandleControl(answers{c})
	for {
		if c.Buffered() == 0 {
			c.Release()
			c.Acquire()
			c.Acquire() // has all: no effect
		}
		opcode, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		c.NetConn().Write(append(AppendHeader(nil, opcode, len(data)), data...))
	}
}

// What reads may go and come between messages, from one connection to another, and what
// each of them is sent and answers stays its own.
func TestRelease(t *testing.T) {
	for _, compress := range []bool{false, true} {
		addr := serve(t, Options{MaxMessage: 1000, Deflate: compress}, nil, echoBetween)
		dialer := websocket.Dialer{EnableCompression: compress}
		var running sync.WaitGroup
		for client := range 8 {
			c, _, err := dialer.Dial("ws://"+addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			running.Go(func() {
				pong := ""
				c.SetPongHandler(func(s string) error { pong = s; return nil })
				for i := range 50 {
					want := fmt.Sprint(client, " ", i, strings.Repeat("x", i*15))
					c.WriteMessage(websocket.PingMessage, []byte(want[:3]))
					c.WriteMessage(websocket.TextMessage, []byte(want))
					if _, got, err := c.ReadMessage(); err != nil || string(got) != want || pong != want[:3] {
						t.Errorf("got %q and the pong %q, %v, want %q", got, pong, err, want)
						return
					}
				}
			})
		}
		running.Wait()
	}
}

// TestNewFramer: where nobody has left one, it is made.
func TestNewFramer(t *testing.T) {
	addr := serve(t, Options{MaxMessage: 1000}, nil, func(c *Conn) {
		c.upgrader.newFramer().serve(c)
		echo(c)
	})
	_, r, c := dial(t, addr, "", nil)
	c.Write(masked(OpText, "hello"))
	got := make([]byte, 7)
	if _, err := io.ReadFull(r, got); err != nil || string(got[2:]) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestReleaseCutShort: compressed data may end before its message does. What is left of
// that is read for the connection that it came by, and for no other.
func TestReleaseCutShort(t *testing.T) {
	addr := serve(t, Options{MaxMessage: 1000, Deflate: true}, nil, echoBetween)
	const offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	_, cut, c := dial(t, addr, offer, nil)
	short := []byte{0x4b, 0x04, 0x00} // "a", in a block that is the last
	message := masked(OpText|Compressed, string(short)+strings.Repeat("x", 20))
	c.Write(message[:len(message)-20])
	got := make([]byte, 3)
	if _, err := io.ReadFull(cut, got); err != nil || got[2] != 'a' {
		t.Fatalf("got %q, %v", got, err)
	}
	for range 20 {
		_, r, other := dial(t, addr, "", nil)
		other.Write(masked(OpText, "b"))
		if _, err := io.ReadFull(r, got); err != nil || got[2] != 'b' {
			t.Fatalf("another connection got %q, %v", got, err)
		}
	}
	c.Write(append(message[len(message)-20:], masked(OpText, "c")...))
	if _, err := io.ReadFull(cut, got); err != nil || got[2] != 'c' {
		t.Errorf("after the rest: got %q, %v", got, err)
	}
}

// Answers to control frames come through the caller's hands, and messages beyond
// the limit end with a close frame, also when they are short on the wire.
func TestControl(t *testing.T) {
	addr := serve(t, Options{MaxMessage: 1000, Deflate: true}, nil, echo)
	d := websocket.Dialer{EnableCompression: true}
	for _, tt := range []struct {
		name     string
		compress bool
		want     int
	}{{"long", false, 1009}, {"long when inflated", true, 1009}} {
		c, _, err := d.Dial("ws://"+addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		pong := ""
		c.SetPongHandler(func(s string) error { pong = s; return nil })
		c.WriteMessage(websocket.PingMessage, []byte("hello"))
		c.WriteMessage(websocket.TextMessage, []byte("x"))
		c.ReadMessage()
		if pong != "hello" {
			t.Errorf("%s: pong %q", tt.name, pong)
		}
		c.EnableWriteCompression(tt.compress)
		c.WriteMessage(websocket.TextMessage, make([]byte, 5000))
		if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, tt.want) {
			t.Errorf("%s: ended with %v, want %d", tt.name, err, tt.want)
		}
	}
}

func TestCloseStatus(t *testing.T) {
	ends := make(chan error, 1)
	addr := serve(t, Options{MaxMessage: 1000}, nil, func(c *Conn) {
		defer c.Close()
		_, _, err := c.ReadMessage()
		ends <- err
	})
	for name, tt := range map[string]struct {
		say  []byte
		want int
	}{
		"going away": {masked(OpClose, "\x03\xe9"), GoingAway},
		"no status":  {masked(OpClose, ""), 1005},
		"just ends":  {nil, 1006},
	} {
		c, _, err := websocket.DefaultDialer.Dial("ws://"+addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.NetConn().Write(tt.say)
		c.NetConn().Close()
		if err := <-ends; CloseStatus(err) != tt.want {
			t.Errorf("%s: %v has status %d, want %d", name, err, CloseStatus(err), tt.want)
		}
	}
	if got := CloseStatus(io.ErrClosedPipe); got != 0 {
		t.Errorf("status of another error = %d", got)
	}
}
