package fastpath

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestPolls(t *testing.T) {
	p := servePolls(t, say)
	c := p.dial()
	for range 3 {
		if r, body := c.asks(aPoll()); r.StatusCode != http.StatusOK || body != "GET EIO=4&transport=polling&sid=a " || r.Close ||
			r.Header.Get("Date") == "" || r.Header.Get("Content-Type") != "text/plain; charset=utf-8" || r.ContentLength != int64(len(body)) {
			t.Errorf("answered %v %q", r, body)
		}
		if _, body := c.asks(aPost("4hello")); body != "POST EIO=4&transport=polling&sid=a 4hello" {
			t.Errorf("answered %q", body)
		}
	}
	p.served(6, 0)
}

// TestPollsByUnixSocket: a proxy may connect by one.
func TestPollsByUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	p := servePollsOn(t, l, say)
	c := p.dial()
	c.asks(aPoll())
	c.asks(aPost("4a"))
	p.served(2, 0)
}

// TestPipelined: requests that come at once are answered in turn.
func TestPipelined(t *testing.T) {
	p := servePolls(t, say)
	c := p.dial()
	io.WriteString(c, aPoll()+aPost("4a")+aPost("4b")+aPoll("Connection: close\r\n"))
	var got []string
	for range 4 {
		_, body := c.answer()
		got = append(got, strings.ReplaceAll(body, " EIO=4&transport=polling&sid=a ", ":"))
	}
	if want := "GET: POST:4a POST:4b GET:"; strings.Join(got, " ") != want {
		t.Errorf("answered %q, not %q", got, want)
	}
	c.ends()
	p.served(3, 1)
}

// TestLeftInTheMiddle: what is no plain poll is net/http's, with all that comes after it.
func TestLeftInTheMiddle(t *testing.T) {
	for name, request := range map[string]string{
		"chunks":       "POST /socket.io/?transport=polling HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n4a\r\n0\r\n\r\n",
		"another path": "GET / HTTP/1.1\r\nHost: here\r\n\r\n",
		"a preflight":  strings.Replace(aPoll(), "GET", "OPTIONS", 1),
		"a large body": aPost(strings.Repeat("4", 2*maxRequest)),
		"HTTP/1.0":     strings.Replace(aPoll("Connection: keep-alive\r\n"), "HTTP/1.1", "HTTP/1.0", 1),
	} {
		t.Run(name, func(t *testing.T) {
			p := servePolls(t, say)
			c := p.dial()
			c.asks(aPoll())
			if r, _ := c.asks(request); r.StatusCode != http.StatusOK {
				t.Errorf("answered %d", r.StatusCode)
			}
			c.asks(aPoll())
			p.served(1, 2)
			if n := p.poller.Watched(); n != 0 {
				t.Errorf("%d connections are watched that net/http has", n)
			}
		})
	}
}

// TestExpect: who asks before it sends a body is answered.
func TestExpect(t *testing.T) {
	p := servePolls(t, say)
	c := p.dial()
	c.asks(aPoll())
	request := aPost("4a", "Expect: 100-continue\r\n")
	io.WriteString(c, request[:len(request)-2])
	if line, err := c.r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Errorf("answered %q, %v", line, err)
	}
	c.r.ReadString('\n')
	if _, body := c.asks("4a"); !strings.HasSuffix(body, "4a") {
		t.Errorf("answered %q", body)
	}
	p.served(1, 1)
}

// TestHandshakeAfterPolls: a connection that polls have used may become a WebSocket.
func TestHandshakeAfterPolls(t *testing.T) {
	upgrader := websocket.Upgrader{}
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			say(w, r)
			return
		}
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		kind, data, _ := c.ReadMessage()
		c.WriteMessage(kind, data)
	}, func(s *Server) { s.IdleTimeout = briefly })
	c := p.dial()
	c.asks(aPoll())
	io.WriteString(c, handshake("/socket.io/"))
	if r, err := http.ReadResponse(c.r, nil); err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered %v, %v", r, err)
	}
	quiet := p.dial()
	quiet.asks(aPoll())
	quiet.ends() // when the timeout is over
	io.WriteString(c, "\x81\x85\x00\x00\x00\x00hello")
	got := make([]byte, len("\x81\x05hello"))
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != "\x81\x05hello" {
		t.Errorf("the echo is %q, %v", got, err)
	}
	p.served(3, 0)
}

// TestPieces: a poll may come in pieces, as some clients send them.
func TestPieces(t *testing.T) {
	p := servePolls(t, say, func(s *Server) { s.pieces = patience })
	c := p.dial()
	for _, request := range []string{aPoll(), aPost("4hello"), aPost("4hello"), aPoll()} {
		for at := 60; at < len(request); at += 20 {
			io.WriteString(c, request[:at])
			request = request[at:]
			time.Sleep(time.Millisecond) // a segment each, as a rule; nothing depends on it
			at = 0
		}
		if r, _ := c.asks(request); r.StatusCode != http.StatusOK {
			t.Errorf("answered %d", r.StatusCode)
		}
	}
	p.served(4, 0)
}

// TestPiecesTooLate: for the rest of a poll that does not come soon net/http waits, for as long as
// it does.
func TestPiecesTooLate(t *testing.T) {
	p := servePolls(t, say, func(s *Server) { s.ReadHeaderTimeout = briefly })
	slow, silent := p.dial(), p.dial()
	slow.asks(aPoll())
	silent.asks(aPoll())
	request := aPost("4hello")
	io.WriteString(slow, request[:len(request)-3]) // its head is there: the body may take its time
	io.WriteString(silent, request[:70])
	if _, err := io.ReadAll(silent.r); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("who sends nothing more stays")
	}
	if _, body := slow.asks("llo"); !strings.HasSuffix(body, "4hello") {
		t.Errorf("answered %q", body)
	}
	p.served(2, 1)
}

// TestClientLeaves: the context of a poll is done when its client leaves, in whichever way.
func TestClientLeaves(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"closes":      func(c *net.TCPConn) { c.Close() },
		"half closes": func(c *net.TCPConn) { c.CloseWrite() },
		"resets":      func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
	} {
		for _, polls := range []int{0, 1, 3} { // before
			t.Run(fmt.Sprint(name, " after ", polls), func(t *testing.T) {
				waits, over := make(chan bool, 1), make(chan error, 1)
				p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
					if !strings.Contains(r.URL.RawQuery, "wait") {
						say(w, r)
						return
					}
					waits <- true
					select {
					case <-r.Context().Done():
						over <- context.Cause(r.Context())
					case <-time.After(patience):
						over <- nil
					}
				})
				c := p.dial()
				for range polls {
					c.asks(aPoll())
				}
				io.WriteString(c, strings.Replace(aPoll(), "sid=a", "wait", 1))
				<-waits
				leave(c.Conn.(*net.TCPConn))
				if err := <-over; !errors.Is(err, context.Canceled) {
					t.Errorf("the poll ended with %v", err)
				}
			})
		}
	}
}

// TestClientHasLeft: a client may have left before its last request is looked at.
func TestClientHasLeft(t *testing.T) {
	begin, over := make(chan bool), make(chan error, 1)
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.RawQuery, "wait") {
			<-begin
			if err := r.Context().Err(); err != nil {
				t.Errorf("the first request was canceled, but another is behind it: %v", err)
			}
			say(w, r)
			return
		}
		select {
		case <-r.Context().Done():
			over <- r.Context().Err()
		case <-time.After(patience):
			over <- nil
		}
	})
	c := p.dial()
	io.WriteString(c, aPoll()+strings.Replace(aPoll(), "sid=a", "wait", 1))
	c.Conn.(*net.TCPConn).CloseWrite()
	time.Sleep(time.Millisecond) // the end is there, as a rule; nothing depends on it
	begin <- true
	if err := <-over; err == nil {
		t.Error("the second request was not canceled")
	}
	p.served(2, 0)
}

// TestContext: the context of a poll says who serves it, and is done after it.
func TestContext(t *testing.T) {
	contexts := make(chan context.Context, 1)
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		contexts <- r.Context()
		if r.Context().Err() != nil || r.RemoteAddr == "" || r.TLS != nil {
			t.Errorf("%v, from %q, by %v", r.Context().Err(), r.RemoteAddr, r.TLS)
		}
		say(w, r)
	})
	c := p.dial()
	c.asks(aPoll())
	ctx := <-contexts
	<-ctx.Done()
	server, local := ctx.Value(http.ServerContextKey), ctx.Value(http.LocalAddrContextKey)
	if server != p.Server.Server || fmt.Sprint(local) != p.at {
		t.Errorf("served by %v at %v", server, local)
	}
}

// secureListener accepts connections that came by TLS to a proxy.
type secureListener struct{ net.Listener }

type secureConn struct{ *net.TCPConn }

func (secureConn) Secure() bool { return true }

func (secureConn) RemoteAddr() net.Addr { return memoryAddr{} }

func (l secureListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return secureConn{c.(*net.TCPConn)}, nil
}

// TestProxied: what a proxy says of its client holds for polls.
func TestProxied(t *testing.T) {
	p := servePollsOn(t, secureListener{listen(t)}, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr, " ", r.TLS != nil)
	})
	if _, body := p.dial().asks(aPoll()); body != (memoryAddr{}).String()+" true" {
		t.Errorf("answered %q", body)
	}
	p.served(1, 0)
}

// TestIdle: a connection that says nothing, or too little, for too long after a poll is closed, however
// often it was used.
func TestIdle(t *testing.T) {
	p := servePolls(t, say, func(s *Server) { s.IdleTimeout = briefly })
	for _, rest := range []string{"", "GE"} {
		c := p.dial()
		for range 10 {
			c.asks(aPoll())
		}
		io.WriteString(c, rest)
		c.ends()
	}
	p.served(20, 0)
}

// TestIdleIsNotServing: the timeout is about the time between requests.
func TestIdleIsNotServing(t *testing.T) {
	idle := make(chan bool)
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		<-idle
		say(w, r)
	}, func(s *Server) { s.IdleTimeout, s.ReadHeaderTimeout = briefly, briefly })
	c := p.dial()
	io.WriteString(c, aPoll())
	p.dial().ends() // when the timeout is over
	close(idle)
	if _, body := c.answer(); body == "" {
		t.Error("no answer")
	}
	p.served(1, 0)
}

// TestBlankLines: of a connection that says nothing but blank lines after a POST, which no shutdown
// closes, net/http has the end before long.
func TestBlankLines(t *testing.T) {
	p := servePolls(t, say, func(s *Server) { s.IdleTimeout, s.ReadHeaderTimeout, s.pieces = 0, briefly, briefly })
	c := p.dial()
	c.asks(aPost("4a"))
	io.WriteString(c, "\r\n\r\n")
	c.ends()
	p.served(1, 0)
}
