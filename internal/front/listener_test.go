package front

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds every wait of the tests.
const patience = 20 * time.Second

// world is an http.Server behind a Listener.
type world struct {
	*testing.T
	at     string
	server *http.Server

	mu     sync.Mutex
	direct int // requests that the Listener served by itself
	log    bytes.Buffer
}

func start(t *testing.T, opts Options) *world {
	if !canPeek {
		t.Skip("connections cannot be looked at on this system")
	}
	w := &world{T: t}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.at = l.Addr().String()
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
		fmt.Fprint(rw, `{"no":"thanks"}`)
	})
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("oh") })
	w.server = &http.Server{Handler: mux, ReadHeaderTimeout: patience, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	opts.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.direct++
		w.mu.Unlock()
		mux.ServeHTTP(rw, r)
	})
	if opts.Timeout == 0 {
		opts.Timeout = patience
	}
	opts.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	ended := make(chan error)
	go func() { ended <- w.server.Serve(Listen(l, opts)) }()
	t.Cleanup(func() {
		w.server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving ended with %v", err)
		}
	})
	return w
}

// served checks how many requests the Listener served by itself.
func (w *world) served(want int) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.direct != want {
		w.Errorf("%d requests were served without net/http, not %d", w.direct, want)
	}
}

func (w *world) dial() net.Conn {
	c, err := net.Dial("tcp", w.at)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// say sends bytes on a new connection and returns the answer.
func (w *world) say(parts ...string) *http.Response {
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

func (w *world) answer(c net.Conn) *http.Response {
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
	w := start(t, Options{})
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
	w := start(t, Options{})
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
		r.Header.Get("Date") == "" || r.ContentLength != int64(len(body)) || !r.Close {
		t.Errorf("answered %q", all)
	}
	r = w.say(handshake("/nowhere"))
	if r.StatusCode != http.StatusNotFound || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("answered %d %v", r.StatusCode, r.Header)
	}
}

// What is not quite a handshake gets net/http's answer, byte for byte its own.
func TestLeftToNetHTTP(t *testing.T) {
	w := start(t, Options{})
	whole := handshake("/echo")
	for name, x := range map[string]struct {
		parts  []string
		status int
	}{
		"in pieces":          {[]string{whole[:30], whole[30:]}, http.StatusSwitchingProtocols},
		"larger than a look": {[]string{handshake("/refuse", "Cookie: "+strings.Repeat("x", maxHead)+"\r\n")}, http.StatusTeapot},
		"no host":            {[]string{strings.Replace(whole, "Host: here\r\n", "", 1)}, http.StatusBadRequest},
		"two hosts":          {[]string{strings.Replace(whole, "Host: here\r\n", "Host: a\r\nHost: b\r\n", 1)}, http.StatusBadRequest},
		"a bad host":         {[]string{strings.Replace(whole, "Host: here\r\n", "Host: a b\r\n", 1)}, http.StatusBadRequest},
		"a bad name":         {[]string{handshake("/echo", "a b: c\r\n")}, http.StatusBadRequest},
		"a bad value":        {[]string{handshake("/echo", "a: \x01\r\n")}, http.StatusBadRequest},
		"a body":             {[]string{handshake("/refuse", "Content-Length: 3\r\n") + "abc"}, http.StatusTeapot},
		"a body to come":     {[]string{handshake("/refuse", "Content-Length: 3\r\n"), "abc"}, http.StatusTeapot},
		"HTTP/1.0":           {[]string{strings.Replace(handshake("/refuse"), "HTTP/1.1", "HTTP/1.0", 1)}, http.StatusTeapot},
		"HTTP/9.9":           {[]string{strings.Replace(whole, "HTTP/1.1", "HTTP/9.9", 1)}, http.StatusHTTPVersionNotSupported},
		"another upgrade":    {[]string{strings.Replace(handshake("/refuse"), "websocket", "h2c", 1)}, http.StatusTeapot},
		"nonsense":           {[]string{"\x16\x03\x01 nonsense\r\n\r\n"}, http.StatusBadRequest},
	} {
		if r := w.say(x.parts...); r.StatusCode != x.status {
			t.Errorf("%s: answered %d, not %d", name, r.StatusCode, x.status)
		}
	}
	w.served(0)
}

// Whoever speaks before the handshake is answered is refused, as by net/http.
func TestTooEarly(t *testing.T) {
	w := start(t, Options{})
	c := w.dial()
	io.WriteString(c, handshake("/echo")+"\x81\x80\x00\x00\x00\x00")
	if got, _ := io.ReadAll(c); len(got) != 0 {
		t.Errorf("answered %q", got)
	}
	w.served(0)
}

func TestPanic(t *testing.T) {
	w := start(t, Options{})
	c := w.dial()
	io.WriteString(c, handshake("/panic"))
	if got, err := io.ReadAll(c); len(got) != 0 || err != nil {
		t.Errorf("answered %q, %v", got, err)
	}
	if r := w.say(handshake("/refuse")); r.StatusCode != http.StatusTeapot {
		t.Errorf("afterwards answered %d", r.StatusCode)
	}
	if !strings.Contains(w.log.String(), "panic=oh") {
		t.Errorf("logged %q", &w.log)
	}
}

// Silence ends, by the timeout or with the server; silent connections hold up
// nobody.
func TestSilence(t *testing.T) {
	w := start(t, Options{Timeout: 50 * time.Millisecond})
	for range 100 {
		c := w.dial()
		defer func() {
			if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("read %d bytes, %v", n, err)
			}
		}()
	}
	if r := w.say(handshake("/echo")); r.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("answered %d", r.StatusCode)
	}
}

func TestClose(t *testing.T) {
	w := start(t, Options{})
	var silent []net.Conn
	for range 10 {
		silent = append(silent, w.dial())
	}
	if r := w.say(handshake("/echo")); r.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("answered %d", r.StatusCode)
	}
	w.server.Close()
	for _, c := range silent {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	}
	if _, err := net.Dial("tcp", w.at); err == nil {
		t.Error("the listener is still open")
	}
}

// Handshakes, with net/http in front and without.
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
	for _, name := range []string{"net/http", "front"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			at := l.Addr().String()
			server := &http.Server{Handler: refuse, ReadHeaderTimeout: patience}
			defer server.Close()
			if name == "front" {
				l = Listen(l, Options{Handler: refuse, Timeout: patience, Logger: slog.Default()})
			}
			go server.Serve(l)
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
