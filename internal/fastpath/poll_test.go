package fastpath

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// polls is a server whose handler a test writes.
type polls struct {
	*testing.T
	*Server
	network, at string

	mu         sync.Mutex
	past, left int // requests that net/http did not serve, and that it did
	log        bytes.Buffer
}

// Write takes what is logged.
func (p *polls) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func servePolls(t *testing.T, h http.HandlerFunc, change ...func(*http.Server)) *polls {
	t.Helper()
	return servePollsOn(t, listen(t), h, change...)
}

func servePollsOn(t *testing.T, l net.Listener, h http.HandlerFunc, change ...func(*http.Server)) *polls {
	t.Helper()
	if !canPoll {
		t.Skip("this system leaves polls to net/http")
	}
	p := &polls{T: t, network: l.Addr().Network(), at: l.Addr().String()}
	s := &http.Server{
		ReadHeaderTimeout: patience, IdleTimeout: patience,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, byNetHTTP{}, true)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			if r.Context().Value(byNetHTTP{}) == nil {
				p.past++
			} else {
				p.left++
			}
			p.mu.Unlock()
			h(w, r)
		}),
	}
	for _, f := range change {
		f(s)
	}
	p.Server = New(s, Options{PollPath: "/socket.io/", Logger: slog.New(slog.NewTextHandler(p, nil))})
	served := make(chan error)
	go func() { served <- p.Serve(l) }()
	t.Cleanup(func() {
		p.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving ended with %v", err)
		}
		<-p.gone
		if n := p.poller.Watched(); n != 0 {
			t.Errorf("%d connections are watched in the end", n)
		}
	})
	return p
}

// served checks how many requests were served past net/http, and by it.
func (p *polls) served(past, left int) {
	p.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.past != past || p.left != left {
		p.Errorf("%d requests were served past net/http and %d by it, not %d and %d", p.past, p.left, past, left)
	}
}

// client is a connection to the server.
type client struct {
	*testing.T
	net.Conn
	r *bufio.Reader
}

func (p *polls) dial() *client {
	p.Helper()
	c, err := net.Dial(p.network, p.at)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{p.T, c, bufio.NewReader(c)}
}

// asks sends a request and returns the answer.
func (c *client) asks(request string) (*http.Response, string) {
	c.Helper()
	if _, err := io.WriteString(c.Conn, request); err != nil {
		c.Fatal(err)
	}
	return c.answer()
}

func (c *client) answer() (*http.Response, string) {
	c.Helper()
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.Fatal(err)
	}
	return r, string(body)
}

// ends checks that the server closes the connection and sends nothing before.
func (c *client) ends() {
	c.Helper()
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.Errorf("the connection ends with %q, %v", rest, err)
	}
}

// say answers with what the request said.
func say(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.RawQuery, body)
}

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
	}, func(s *http.Server) { s.IdleTimeout = shortTimeout })
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
	p := servePolls(t, say)
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
	p := servePolls(t, say, func(s *http.Server) { s.ReadHeaderTimeout = shortTimeout })
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

func (secureConn) Secure() bool         { return true }
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
	p := servePolls(t, say, func(s *http.Server) { s.IdleTimeout = shortTimeout })
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
	}, func(s *http.Server) { s.IdleTimeout, s.ReadHeaderTimeout = shortTimeout, shortTimeout })
	c := p.dial()
	io.WriteString(c, aPoll())
	for range 3 {
		p.dial().ends() // when the timeout is over
	}
	close(idle)
	if _, body := c.answer(); body == "" {
		t.Error("no answer")
	}
	p.served(1, 0)
}

// TestShutdown: requests that are served are waited for, and end their connections; connections that wait
// for a request are closed.
func TestShutdown(t *testing.T) {
	serving, answer := make(chan bool), make(chan bool)
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.RawQuery, "idle") {
			say(w, r)
			return
		}
		serving <- true
		<-answer
		say(w, r)
	})
	idle, silent, busy, shaking := p.dial(), p.dial(), p.dial(), p.dial()
	idle.asks(strings.Replace(aPoll(), "sid=a", "idle", 1))
	io.WriteString(busy, aPoll())
	<-serving
	io.WriteString(shaking, handshake("/socket.io/"))
	<-serving
	over := make(chan error, 1)
	go func() { over <- p.Shutdown(context.Background()) }()
	idle.ends()
	silent.ends()
	select {
	case err := <-over:
		t.Errorf("the shutdown has not waited: %v", err)
	default:
	}
	close(answer)
	for _, c := range []*client{busy, shaking} {
		if r, body := c.answer(); !r.Close || body == "" {
			t.Errorf("answered %v, %q", r, body)
		}
		c.ends()
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
	p.served(3, 0)
}

// TestShutdownLeavesHijacked: who has hijacked a connection has it for as long as it likes.
func TestShutdownLeavesHijacked(t *testing.T) {
	hijacked, over := make(chan bool), make(chan bool)
	p := servePolls(t, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		hijacked <- true
		<-over
		io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	c := p.dial()
	io.WriteString(c, handshake("/socket.io/"))
	<-hijacked
	if err := p.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	p.Close()
	close(over)
	if r, _ := c.answer(); r.StatusCode != http.StatusNoContent {
		t.Errorf("answered %d", r.StatusCode)
	}
}

// TestShutdownInTime: who waits for a shutdown has the last word, and Close ends what is served.
func TestShutdownInTime(t *testing.T) {
	serving, over := make(chan bool), make(chan error)
	p := servePolls(t, func(_ http.ResponseWriter, r *http.Request) {
		serving <- true
		<-r.Context().Done()
		over <- r.Context().Err()
	})
	c := p.dial()
	io.WriteString(c, aPoll())
	<-serving
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown returned %v", err)
	}
	p.Close()
	<-over
	c.ends()
}

// TestPollPanics: a panic ends the connection, and is logged unless it is meant.
func TestPollPanics(t *testing.T) {
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "some")
		if strings.Contains(r.URL.RawQuery, "abort") {
			panic(http.ErrAbortHandler)
		}
		panic("oh")
	})
	for _, sid := range []string{"sid=a", "abort"} {
		c := p.dial()
		io.WriteString(c, strings.Replace(aPoll(), "sid=a", sid, 1))
		c.ends()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if log := p.log.String(); strings.Count(log, "panic=") != 1 || !strings.Contains(log, "panic=oh") {
		t.Errorf("logged %q, want one panic", log)
	}
}

// TestAnswers: what is on the wire is what net/http writes.
func TestAnswers(t *testing.T) {
	large := strings.Repeat("x", 3*maxJoined)
	for name, answer := range map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"pieces": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>")
			fmt.Fprint(w, "more")
		},
		"a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			fmt.Fprint(w, "ab")
			http.NewResponseController(w).Flush()
			fmt.Fprint(w, "cd")
			if n, err := fmt.Fprint(w, "e"); n != 0 || !errors.Is(err, http.ErrContentLength) {
				t.Errorf("wrote %d too many bytes, %v", n, err)
			}
		},
		"large": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(2*len(large)+1))
			fmt.Fprint(w, "1")
			io.WriteString(w, large)
			io.WriteString(w, large)
		},
		"small pieces of a large one": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			for i := 0; i < len(large); i += 1 << 10 {
				io.WriteString(w, large[i:i+1<<10])
			}
		},
		"no content": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			if _, err := fmt.Fprint(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("a body: %v", err)
			}
		},
		"not modified": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusNotModified)
		},
		"a strange status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) },
		"fields": func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["Set-Cookie"] = []string{"a=b", "c=d"}
			h["X-Lines"], h["x-lower"], h["Not A Name"] = []string{" a\r\nb\t"}, []string{"y"}, []string{"z"}
			h["Date"] = []string{"today"}
			h["Content-Type"] = nil
			h["X-None"] = nil
			fmt.Fprint(w, "<html>")
		},
		"encoded": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "<html>")
		},
		"statuses": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			w.WriteHeader(http.StatusOK)
			w.Header().Set("X-Late", "y")
			fmt.Fprint(w, "no")
		},
		"short of its length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			fmt.Fprint(w, "ab")
			http.NewResponseController(w).Flush()
		},
		"the last": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusBadRequest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := servePolls(t, answer)
			bare := &http.Server{Handler: answer, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
			l := listen(t)
			go bare.Serve(l)
			defer bare.Close()
			got, want := converse(t, p.at, []byte(aPoll()+aPoll())), converse(t, l.Addr().String(), []byte(aPoll()+aPoll()))
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					t.Fatalf("answered %.300q\nnot %.300q", got, want)
				}
			}
		})
	}
}

// TestWriteDeadline: who does not take an answer is given up, also when the deadline is set while the answer
// waits; and it is that answer's alone.
func TestWriteDeadline(t *testing.T) {
	for name, late := range map[string]bool{"before": false, "meanwhile": true} {
		t.Run(name, func(t *testing.T) {
			over := make(chan error, 1)
			p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
				c := http.NewResponseController(w)
				if !strings.Contains(r.URL.RawQuery, "large") {
					c.SetWriteDeadline(time.Now())
					say(w, r)
					return
				}
				w.Header().Set("Content-Length", fmt.Sprint(largeAnswer))
				if late {
					go func() {
						time.Sleep(shortTimeout) // the answer waits, as a rule
						c.SetWriteDeadline(time.Now())
					}()
				} else {
					c.SetWriteDeadline(time.Now().Add(shortTimeout))
				}
				_, err := w.Write(make([]byte, largeAnswer))
				over <- err
			})
			c := p.dial()
			for range 3 {
				c.asks(aPoll())
			}
			io.WriteString(c, strings.Replace(aPoll(), "sid=a", "large", 1))
			if err := <-over; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the answer was given up with %v", err)
			}
			if n, _ := io.Copy(io.Discard, c.r); n >= largeAnswer {
				t.Errorf("read %d bytes", n)
			}
		})
	}
}

// TestReadDeadline: what a handler allows for the reading of its request ends with that.
func TestReadDeadline(t *testing.T) {
	p := servePolls(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Now())
		say(w, r)
	})
	c := p.dial()
	for range 3 {
		if _, body := c.asks(aPost("4a")); !strings.HasSuffix(body, "4a") {
			t.Errorf("answered %q", body)
		}
	}
	p.served(3, 0)
}

// Polls, by net/http alone and past it: b.N with their answers, and KiB that 1,000 connections
// hold that wait for an answer, and for a request.
func BenchmarkPoll(b *testing.B) {
	for _, name := range []string{"net/http", "fastpath"} {
		b.Run(name, func(b *testing.B) {
			answer := make(chan bool)
			server := &http.Server{ReadHeaderTimeout: patience, IdleTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.RawQuery, "wait") {
					<-answer
				}
				w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
				w.Header().Set("Content-Length", "1")
				w.Write([]byte("6"))
				http.NewResponseController(w).Flush()
			})}
			l := listen(b)
			if name == "fastpath" {
				front := New(server, Options{PollPath: "/socket.io/", Logger: slog.Default()})
				defer front.Close()
				go front.Serve(l)
			} else {
				defer server.Close()
				go server.Serve(l)
			}
			dial := func() net.Conn {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				return c
			}
			request, buf := []byte(aPoll("User-Agent: Mozilla/5.0\r\nOrigin: http://here\r\nAccept-Encoding: gzip\r\n")), make([]byte, 512)
			b.ReportAllocs()
			c := dial()
			defer c.Close()
			for b.Loop() {
				c.Write(request)
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			const many = 1000
			var conns []net.Conn
			before := held()
			for range many {
				conns = append(conns, dial())
			}
			for _, c := range conns {
				c.Write(bytes.Replace(request, []byte("sid=a"), []byte("wait="), 1))
			}
			time.Sleep(100 * time.Millisecond)
			b.ReportMetric(float64(held()-before)/many/1024, "KiB/waiting")
			close(answer)
			for _, c := range conns {
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
			time.Sleep(100 * time.Millisecond)
			b.ReportMetric(float64(held()-before)/many/1024, "KiB/idle")
			for _, c := range conns {
				c.Close()
			}
		})
	}
}

// held returns the bytes that the heap and the stacks hold.
func held() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
