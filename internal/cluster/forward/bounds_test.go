package forward

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const strange = "sid=aaaa2xxxxxxxxxxxxxxx" // of another node than the one that is asked

// one is a node whose others are at these addresses, and what it logs.
func one(t *testing.T, o Options) (*Handler, *httptest.Server, *lines) {
	t.Helper()
	log := &lines{}
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	if o.Key == nil {
		o.Key = []byte("key")
	}
	h := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "%s mark=%q", o.Epoch, r.Header.Get(Header))
	}), o)
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return h, s, log
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestForwardedOnce: what was handed over is never handed over again, whatever is wrong:
// the nodes have different secrets or clocks, an address leads to another node, or back, or
// a browser says that it is one.
func TestForwardedOnce(t *testing.T) {
	var addresses sync.Map
	lookup := func(epoch string) (string, error) {
		a, ok := addresses.Load(epoch)
		if !ok {
			return "", ErrUnknown
		}
		return a.(string), nil
	}
	a, sa, _ := one(t, Options{Epoch: "aaaa1", Address: lookup, Key: []byte("one")})
	b, sb, warned := one(t, Options{Epoch: "aaaa3", Address: lookup, Key: []byte("other")})
	c, sc, alike := one(t, Options{Epoch: "aaaa4", Address: lookup, Key: []byte("one")})
	for name, leads := range map[string]*httptest.Server{"to a node with another secret": sb, "to another node": sc, "back": sa} {
		t.Run(name, func(t *testing.T) {
			addresses.Store("aaaa2", leads.Listener.Addr().String())
			before := a.Stats().Forwarded
			code, got := do(t, "GET", sa.URL+"/socket.io/?"+strange, "")
			if code != http.StatusBadRequest || !strings.Contains(got, `mark=""`) {
				t.Errorf("answered %d %q", code, got)
			}
			if n := a.Stats().Forwarded - before; n != 1 {
				t.Errorf("handed over %d times by the first", n)
			}
		})
	}
	if n := b.Stats().Forwarded + c.Stats().Forwarded; n != 0 {
		t.Errorf("handed over again %d times", n)
	}
	for _, log := range []*lines{warned, alike} {
		if text := log.String(); strings.Count(text, "level=WARN") != 1 {
			t.Errorf("logged %q", text)
		}
	}
	if !strings.Contains(warned.String(), "secret") || !strings.Contains(alike.String(), "cluster-forward-address") {
		t.Errorf("the causes: %q, %q", warned, alike)
	}

	// A browser's own mark makes it no other client, and nobody hands it over.
	before := a.Stats().Forwarded
	if code, _ := do(t, "GET", sa.URL+"/socket.io/?"+strange, "", Header, "1 aaaa1 192.0.2.1:1 x"); code != http.StatusBadRequest || a.Stats().Forwarded != before {
		t.Errorf("a browser's own mark: %d, handed over %d times", code, a.Stats().Forwarded-before)
	}
}

// TestForwardAway: a request for a node that does not answer is answered at once.
func TestForwardAway(t *testing.T) {
	h, s, _ := one(t, Options{Epoch: "aaaa1", Address: func(string) (string, error) { return "192.0.2.1:1", ErrAway }})
	code, body := do(t, "GET", s.URL+"/socket.io/?"+strange, "")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, `"code":1`) || h.Stats().Failed != 1 {
		t.Errorf("%d %s, %+v", code, body, h.Stats())
	}
}

// silent is a node that takes connections and says nothing, or no more than this when it
// is asked something.
func silent(t *testing.T, says string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range all {
			_ = c.Close()
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, c)
			mu.Unlock()
			if says != "" {
				go func() {
					if _, err := c.Read(make([]byte, 1)); err == nil {
						_, _ = c.Write([]byte(says))
					}
				}()
			}
		}
	}()
	return l.Addr().String()
}

// TestForwardToSilence: who waits for a node that stands still is answered, or loses its
// WebSocket, when the patience is over.
func TestForwardToSilence(t *testing.T) {
	to := func(address string) func(string) (string, error) {
		return func(string) (string, error) { return address, nil }
	}
	h, s, _ := one(t, Options{Epoch: "aaaa1", Address: to(silent(t, "")), Patience: 50 * time.Millisecond})
	for _, request := range []struct{ method, body string }{{"GET", ""}, {"POST", strings.Repeat("x", 8<<20)}} {
		code, body := do(t, request.method, s.URL+"/socket.io/?"+strange, request.body)
		if code != http.StatusServiceUnavailable || !strings.Contains(body, `"code":1`) {
			t.Errorf("%s: %d %s", request.method, code, body)
		}
	}
	if h.Stats().Failed != 2 {
		t.Errorf("%+v", h.Stats())
	}

	const upgraded = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	h, s, _ = one(t, Options{Epoch: "aaaa1", Address: to(silent(t, upgraded)), Patience: 50 * time.Millisecond})
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET /socket.io/?%s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", strange); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	b := make([]byte, 1000)
	var heard []byte
	for {
		n, err := c.Read(b)
		heard = append(heard, b[:n]...)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the WebSocket is still there")
			}
			break
		}
	}
	if !strings.HasPrefix(string(heard), "HTTP/1.1 101") {
		t.Errorf("answered %q", heard)
	}
	for began := time.Now(); h.underWay.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the request is still under way")
		}
	}
}

// TestForwardPatience: a WebSocket over which something comes in time lives on, for longer
// than one that is silent would.
func TestForwardPatience(t *testing.T) {
	all := nodes(t, 2)
	_, s, _ := one(t, Options{Epoch: "aaaa1", Patience: time.Second, Key: all[0].opts.Key,
		Address: func(string) (string, error) { return all[1].server.Listener.Addr().String(), nil }})
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL, "http")+"/socket.io/?"+strange, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 6 { // silence ends it after 2 s
		time.Sleep(500 * time.Millisecond)
		if err := c.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.ReadMessage(); err != nil || string(b) != "aaaa2 x" {
			t.Fatalf("%q, %v", b, err)
		}
	}
}

// TestForwardMany: beyond so many requests under way the next is refused.
func TestForwardMany(t *testing.T) {
	h, s, _ := one(t, Options{Epoch: "aaaa1", Address: func(string) (string, error) { return silent(t, ""), nil }})
	h.underWay.Store(maxUnderWay)
	code, body := do(t, "GET", s.URL+"/socket.io/?"+strange, "")
	if code != http.StatusServiceUnavailable || h.Stats().Failed != 1 || h.Stats().Forwarded != 1 {
		t.Errorf("%d %s, %+v", code, body, h.Stats())
	}
}
