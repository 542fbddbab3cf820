package engineio

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// heard is what a session's receiver was told.
type heard struct {
	session *Session
	mu      sync.Mutex
	msgs    []string
	reason  Reason
	hold    chan struct{} // Receive waits for its close; nil: it does not
}

func (h *heard) Receive(data []byte, binary bool) {
	if string(data) == "panic" {
		panic("a mistake in the server")
	}
	if h.hold != nil {
		<-h.hold
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	kind := "text:"
	if binary {
		kind = "binary:"
	}
	h.msgs = append(h.msgs, kind+string(data))
}

func (h *heard) Closed(r Reason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reason != "" {
		panic("Closed called twice")
	}
	h.reason = r
}

func (h *heard) messages() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.msgs...)
}

func (h *heard) closedWith() Reason {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reason
}

// world is a server, its client side, and the sessions opened so far.
type world struct {
	t        testing.TB
	server   *Server
	http     *http.Server
	client   *http.Client
	listener *wiretest.Listener
	refuse   error
	serving  atomic.Int32       // requests in the server's hands
	sockets  []*wiretest.Socket // the server's ends, of a network that has some

	mu       sync.Mutex
	sessions []*heard
}

func (w *world) Open(s *Session, r *http.Request) (Receiver, error) {
	if w.refuse != nil {
		return nil, w.refuse
	}
	h := &heard{session: s}
	w.mu.Lock()
	w.sessions = append(w.sessions, h)
	w.mu.Unlock()
	return h, nil
}

func (w *world) last() *heard {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sessions[len(w.sessions)-1]
}

// inBubble runs f against a server, in fake time.
func inBubble(t *testing.T, opts Options, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, opts)
		defer w.end()
		f(w)
	})
}

func newWorld(t testing.TB, opts Options) *world {
	t.Helper()
	return newWorldOn(t, opts, &world{t: t, listener: wiretest.Listen()})
}

// withSockets runs f against a server in fake time, over connections that hold
// room bytes each way and can be written to, and parked, without waiting.
func withSockets(t *testing.T, opts Options, room int, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		w.listener = wiretest.ListenSockets(room, func(s *wiretest.Socket) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.sockets = append(w.sockets, s)
		})
		newWorldOn(t, opts, w)
		defer w.end()
		f(w)
	})
}

func newWorldOn(t testing.TB, opts Options, w *world) *world {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	server, err := NewServer(opts, w)
	if err != nil {
		t.Fatal(err)
	}
	w.server = server
	w.http = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.serving.Add(1)
		defer w.serving.Add(-1)
		server.ServeHTTP(rw, r)
	})}
	go w.http.Serve(w.listener)
	w.client = &http.Client{Transport: &http.Transport{DialContext: w.listener.Dial, MaxIdleConnsPerHost: 10}}
	return w
}

// requests returns how many HTTP requests are being served.
func (w *world) requests() int { return int(w.serving.Load()) }

func (w *world) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		w.t.Errorf("Shutdown: %v", err)
	}
	w.client.CloseIdleConnections()
	w.http.Close()
}

// reply is an HTTP answer, read whole.
type reply struct {
	status int
	body   string
	header http.Header
	err    error
}

func (w *world) do(method, query, body string, headers ...string) reply {
	return w.doContext(context.Background(), method, query, body, headers...)
}

func (w *world) doContext(ctx context.Context, method, query, body string, headers ...string) reply {
	req, err := http.NewRequestWithContext(ctx, method, "http://server/socket.io/?"+query, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := w.client.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, string(b), res.Header, err}
}

const fresh = "EIO=4&transport=polling"

// open opens a polling session and returns the query that names it.
func (w *world) open() (query string, h *heard) {
	w.t.Helper()
	r := w.do("GET", fresh, "")
	if r.status != 200 || !strings.HasPrefix(r.body, "0{") {
		w.t.Fatalf("handshake: %+v", r)
	}
	return fresh + "&sid=" + w.sid(r.body[1:]), w.last()
}

func (w *world) sid(open string) string {
	w.t.Helper()
	var o struct{ SID string }
	if err := json.Unmarshal([]byte(open), &o); err != nil || len(o.SID) != 20 {
		w.t.Fatalf("open packet %q: %v", open, err)
	}
	return url.QueryEscape(o.SID)
}

// poll starts a GET; its answer comes over the channel.
func (w *world) poll(query string) <-chan reply {
	ch := make(chan reply, 1)
	go func() { ch <- w.do("GET", query, "") }()
	return ch
}

func (w *world) dial(query string) *wiretest.WS {
	w.t.Helper()
	return w.listener.MustDialWS(w.t, query)
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func payload(parts ...string) string { return strings.Join(parts, "\x1e") }
