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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds every wait of the tests.
const patience = 20 * time.Second

// harness is a server with pages to ask for.
type harness struct {
	*testing.T
	at     string
	server *Server

	mu     sync.Mutex
	direct int // requests that were served without net/http
	log    bytes.Buffer
}

// Write takes what is logged.
func (w *harness) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *harness) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func start(t *testing.T, timeout time.Duration) *harness {
	t.Helper()
	return startOn(t, listen(t), timeout)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// byNetHTTP is in the context of requests that net/http serves.
type byNetHTTP struct{}

// startOn is start for a listener of the test's.
func startOn(t *testing.T, l net.Listener, timeout time.Duration) *harness {
	t.Helper()
	if !canPeek {
		t.Skip("this system cannot peek at connections")
	}
	w := &harness{T: t, at: l.Addr().String()}
	mux := http.NewServeMux()
	upgrader := websocket.Upgrader{}
	mux.HandleFunc("/echo", func(rw http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(rw, r, nil)
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			for {
				kind, data, err := c.ReadMessage()
				if err != nil {
					return
				}
				c.WriteMessage(kind, data)
			}
		}()
	})
	mux.HandleFunc("/refuse", func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Who", r.Host)
		rw.WriteHeader(http.StatusTeapot)
		rw.Header().Set("X-Late", "no part of the answer")
		fmt.Fprint(rw, `{"no":"thanks"}`)
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("oh") })
	mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/large", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(make([]byte, largeAnswer)) })
	mux.HandleFunc("/raw", func(rw http.ResponseWriter, _ *http.Request) {
		c, brw, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		go func() { // echoes a byte
			defer c.Close()
			if b, err := brw.ReadByte(); err == nil {
				_, _ = c.Write([]byte{b})
			}
		}()
	})
	counting := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Context().Value(byNetHTTP{}) == nil {
			w.mu.Lock()
			w.direct++
			w.mu.Unlock()
		}
		mux.ServeHTTP(rw, r)
	})
	w.server = New(&http.Server{
		Handler: counting, ReadHeaderTimeout: timeout, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, byNetHTTP{}, true)
		},
	}, Options{Logger: slog.New(slog.NewTextHandler(w, nil))})
	ended := make(chan error)
	go func() { ended <- w.server.Serve(l) }()
	t.Cleanup(func() {
		w.server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving ended with %v", err)
		}
	})
	return w
}

// served checks how many requests were served without net/http.
func (w *harness) served(want int) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.direct != want {
		w.Errorf("%d requests were served without net/http, not %d", w.direct, want)
	}
}

func (w *harness) dial() net.Conn {
	c, err := net.Dial("tcp", w.at)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// send sends bytes on a new connection and returns the answer.
func (w *harness) send(parts ...string) *http.Response {
	w.Helper()
	c := w.dial()
	for _, p := range parts {
		if _, err := io.WriteString(c, p); err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Millisecond) // a segment each, as a rule; nothing depends on it
	}
	return w.answer(c)
}

func (w *harness) answer(c net.Conn) *http.Response {
	w.Helper()
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.Fatal(err)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil && r.StatusCode != http.StatusSwitchingProtocols {
		w.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r
}

func handshake(path string, fields ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + strings.Join(fields, "") + "\r\n"
}

// Clients get their WebSocket, and other requests come through beside them.
func TestWebSocket(t *testing.T) {
	w := start(t, patience)
	for i := range 5 {
		c, _, err := websocket.DefaultDialer.Dial("ws://"+w.at+"/echo", nil)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint("hello ", i)
		if err := c.WriteMessage(websocket.TextMessage, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.ReadMessage(); err != nil || string(got) != want {
			t.Errorf("got %q, %v", got, err)
		}
		c.Close()
		r, err := http.Get("http://" + w.at + "/refuse")
		if err != nil || r.StatusCode != http.StatusTeapot {
			t.Errorf("got %v, %v", r, err)
		}
		r.Body.Close()
	}
	w.served(5)
}

// A handler that refuses is heard, and the connection ends.
func TestRefusal(t *testing.T) {
	w := start(t, patience)
	c := w.dial()
	io.WriteString(c, handshake("/refuse"))
	all, err := io.ReadAll(c) // to its end
	if err != nil {
		t.Fatal(err)
	}
	w.served(1)
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(all)), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusTeapot || string(body) != `{"no":"thanks"}` || r.Header.Get("X-Who") != "here" ||
		r.Header.Get("Date") == "" || r.Header.Get("X-Late") != "" || r.ContentLength != int64(len(body)) || !r.Close {
		t.Errorf("answered %q", all)
	}
	r = w.send(handshake("/nowhere"))
	if r.StatusCode != http.StatusNotFound || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("answered %d %v", r.StatusCode, r.Header)
	}
}

// What is not quite a handshake gets net/http's answer, byte for byte its own.
func TestLeftToNetHTTP(t *testing.T) {
	w := start(t, patience)
	whole := handshake("/echo")
	for name, x := range map[string]struct {
		parts  []string
		status int
	}{
		"in pieces":           {[]string{whole[:30], whole[30:]}, http.StatusSwitchingProtocols},
		"larger than a look":  {[]string{handshake("/refuse", "Cookie: "+strings.Repeat("x", maxRequest)+"\r\n")}, http.StatusTeapot},
		"no host":             {[]string{strings.Replace(whole, "Host: here\r\n", "", 1)}, http.StatusBadRequest},
		"two hosts":           {[]string{strings.Replace(whole, "Host: here\r\n", "Host: a\r\nHost: b\r\n", 1)}, http.StatusBadRequest},
		"a bad host":          {[]string{strings.Replace(whole, "Host: here\r\n", "Host: a b\r\n", 1)}, http.StatusBadRequest},
		"a bad name":          {[]string{handshake("/echo", "a b: c\r\n")}, http.StatusBadRequest},
		"a bad value":         {[]string{handshake("/echo", "a: \x01\r\n")}, http.StatusBadRequest},
		"a body":              {[]string{handshake("/refuse", "Content-Length: 3\r\n") + "abc"}, http.StatusTeapot},
		"a body to come":      {[]string{handshake("/refuse", "Content-Length: 3\r\n"), "abc"}, http.StatusTeapot},
		"HTTP/1.0":            {[]string{strings.Replace(handshake("/refuse"), "HTTP/1.1", "HTTP/1.0", 1)}, http.StatusTeapot},
		"HTTP/9.9":            {[]string{strings.Replace(whole, "HTTP/1.1", "HTTP/9.9", 1)}, http.StatusHTTPVersionNotSupported},
		"another upgrade":     {[]string{strings.Replace(handshake("/refuse"), "websocket", "h2c", 1)}, http.StatusTeapot},
		"no connection field": {[]string{strings.Replace(handshake("/refuse"), "Connection: Upgrade\r\n", "", 1)}, http.StatusTeapot},
		"another connection":  {[]string{strings.Replace(handshake("/refuse"), "Connection: Upgrade", "Connection: keep-alive", 1)}, http.StatusTeapot},
		"nonsense":            {[]string{"\x16\x03\x01 nonsense\r\n\r\n"}, http.StatusBadRequest},
	} {
		if r := w.send(x.parts...); r.StatusCode != x.status {
			t.Errorf("%s: answered %d, not %d", name, r.StatusCode, x.status)
		}
	}
	w.served(0)
}

// A frame that comes in one piece with the handshake is the first that is read.
func TestFrameWithHandshake(t *testing.T) {
	w := start(t, patience)
	c := w.dial()
	hello := "\x81\x85\x00\x00\x00\x00hello"
	io.WriteString(c, handshake("/echo")+hello[:3])
	r := bufio.NewReader(c)
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answered %v, %v", res, err)
	}
	io.WriteString(c, hello[3:])
	got := make([]byte, len("\x81\x05hello"))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "\x81\x05hello" {
		t.Errorf("the echo is %q, %v", got, err)
	}
	w.served(1)
}

// A handler that refuses is heard, too, when more came with the handshake.
func TestRefusalOfMore(t *testing.T) {
	w := start(t, patience)
	for range 20 {
		c := w.dial()
		io.WriteString(c, handshake("/refuse")+"\x81\x80\x00\x00\x00\x00")
		if got, err := io.ReadAll(c); err != nil || !bytes.HasSuffix(got, []byte(`{"no":"thanks"}`)) {
			t.Fatalf("answered %q, %v", got, err)
		}
	}
	w.served(20)
}

func TestPanic(t *testing.T) {
	w := start(t, patience)
	c := w.dial()
	io.WriteString(c, handshake("/panic"))
	if got, err := io.ReadAll(c); len(got) != 0 || err != nil {
		t.Errorf("answered %q, %v", got, err)
	}
	c = w.dial()
	io.WriteString(c, handshake("/abort"))
	if got, err := io.ReadAll(c); len(got) != 0 || err != nil {
		t.Errorf("answered %q, %v", got, err)
	}
	if r := w.send(handshake("/refuse")); r.StatusCode != http.StatusTeapot {
		t.Errorf("afterwards answered %d", r.StatusCode)
	}
	if log := w.logged(); strings.Count(log, "panic=") != 1 || !strings.Contains(log, "panic=oh") {
		t.Errorf("logged %q, want one panic", log)
	}
}

// Connections that send nothing, or half a handshake, are closed when the timeout
// is over, and hold up nobody meanwhile.
func TestSilence(t *testing.T) {
	w := start(t, shortTimeout)
	var conns []net.Conn
	for i := range 100 {
		c := w.dial()
		if i%2 == 0 {
			io.WriteString(c, handshake("/echo")[:50])
		}
		conns = append(conns, c)
	}
	if r := w.send(handshake("/echo")); r.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("answered %d", r.StatusCode)
	}
	for i, c := range conns {
		// It is reset if bytes are in the socket that nobody read.
		if got, err := io.ReadAll(c); len(got) != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d was answered %q, %v", i, got, err)
		}
	}
	w.served(1)
}

// shortTimeout is for tests in which it passes.
const shortTimeout = 50 * time.Millisecond

// The timeout is about the handshake: who hijacks a connection has no deadline.
func TestNoDeadlineLater(t *testing.T) {
	w := start(t, shortTimeout)
	c := w.dial()
	io.WriteString(c, handshake("/raw"))
	w.awaitTimeout()
	io.WriteString(c, "x")
	if got, err := io.ReadAll(c); string(got) != "x" || err != nil {
		t.Errorf("the echo is %q, %v", got, err)
	}
	w.served(1)
}

// awaitTimeout returns when a connection that is made now has timed out.
func (w *harness) awaitTimeout() {
	w.Helper()
	if got, err := io.ReadAll(w.dial()); len(got) != 0 || err != nil {
		w.Fatalf("a silent connection was answered %q, %v", got, err)
	}
}

// largeAnswer is more, in bytes, than a connection takes which is not read from.
const largeAnswer = 64 << 20

// Who does not take an answer is given up when the timeout is over.
func TestUnreadAnswer(t *testing.T) {
	w := start(t, shortTimeout)
	c := w.dial()
	io.WriteString(c, handshake("/large"))
	for range 3 {
		w.awaitTimeout()
	}
	if n, err := io.Copy(io.Discard, c); n >= largeAnswer {
		t.Errorf("read %d bytes of an answer that was to be given up, %v", n, err)
	}
	w.served(1)
}

func TestClose(t *testing.T) {
	l := listen(t)
	w := startOn(t, l, patience)
	var silent []net.Conn
	for range 10 {
		silent = append(silent, w.dial())
	}
	if r := w.send(handshake("/echo")); r.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("answered %d", r.StatusCode)
	}
	w.server.Close()
	for _, c := range silent {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) { // its port may be another's by now
		t.Errorf("closing the listener: %v, want that it is closed", err)
	}
}

// Connections that nobody took from Accept end with the listener.
func TestCloseWithPending(t *testing.T) {
	l := listen(t)
	server := New(&http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: patience}, Options{Logger: slog.New(slog.DiscardHandler)})
	f := server.listen(l)
	var conns []net.Conn
	for range 10 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: here\r\n\r\n")
		conns = append(conns, c)
	}
	first, err := f.Accept() // the others wait as this one did
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}
	if c, err := f.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept returned %v, %v", c, err)
	}
	for i, c := range conns {
		if c.LocalAddr().String() == first.RemoteAddr().String() {
			continue
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d: read %d bytes, %v", i, n, err)
		}
	}
}

// failing is a listener whose Accept returns errors first.
type failing struct {
	net.Listener
	errs chan error
}

func (l *failing) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

// A process that is out of files accepts again when it has some.
func TestAcceptErrors(t *testing.T) {
	l := &failing{listen(t), make(chan error, 3)}
	for range cap(l.errs) {
		l.errs <- &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	w := startOn(t, l, patience)
	if r := w.send(handshake("/echo")); r.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("answered %d", r.StatusCode)
	}
	if r := w.send("GET /refuse HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"); r.StatusCode != http.StatusTeapot {
		t.Errorf("answered %d", r.StatusCode)
	}
	w.served(1)
	if n := len(l.errs); n != 0 {
		t.Errorf("%d errors were not reached", n)
	}
}

// An error that does not pass ends Serve with it.
func TestAcceptFails(t *testing.T) {
	l := &failing{listen(t), make(chan error, 1)}
	broken := errors.New("broken")
	l.errs <- broken
	server := New(&http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: patience}, Options{Logger: slog.New(slog.DiscardHandler)})
	if err := server.Serve(l); !errors.Is(err, broken) {
		t.Errorf("serving ended with %v", err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("the listener is still open")
	}
}

// Handshakes, by net/http alone and with fastpath before it.
func BenchmarkHandshake(b *testing.B) {
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n")
		rw.Flush()
		c.Close()
	})
	for _, name := range []string{"net/http", "fastpath"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			l := listen(b)
			at := l.Addr().String()
			server := &http.Server{Handler: refuse, ReadHeaderTimeout: patience}
			defer server.Close()
			if name == "fastpath" {
				front := New(server, Options{Logger: slog.Default()})
				defer front.Close()
				go front.Serve(l)
			} else {
				go server.Serve(l)
			}
			request := []byte(handshake("/", "User-Agent: Mozilla/5.0\r\nOrigin: http://here\r\nAccept-Encoding: gzip\r\n"))
			buf := make([]byte, 512)
			for b.Loop() {
				c, err := net.Dial("tcp", at)
				if err != nil {
					b.Fatal(err)
				}
				c.Write(request)
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}
