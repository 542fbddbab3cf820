package sio

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// fanoutArgs make an event of about 100 bytes.
var fanoutArgs = []byte(`["` + strings.Repeat("x", 80) + `"]`)

// hall is a server on a real TCP port, with browsers that read whatever comes
// and only count its bytes.
type hall struct {
	*Server
	http    *http.Server
	addr    string
	conns   []*websocket.Conn
	bytes   atomic.Int64 // that browsers have read
	want    atomic.Int64 // after the emit under way
	done    chan struct{}
	readers sync.WaitGroup
}

// newHall has members browsers; the i-th is in those rooms that have more than
// i members.
func newHall(t testing.TB, opts engineio.Options, members int, rooms ...int) *hall {
	t.Helper()
	needFiles(t, uint64(2*members+100))
	opts.PingInterval, opts.Logger = time.Hour, slog.New(slog.DiscardHandler)
	s, err := NewServer(Options{Engine: opts})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hall{Server: s, http: &http.Server{Handler: s}, addr: l.Addr().String(), done: make(chan struct{}, 1)}
	go func() { _ = h.http.Serve(l) }()
	t.Cleanup(func() { h.end(t) })
	for i := range members {
		c, id := dialTCP(t, h.addr)
		h.conns = append(h.conns, c)
		for _, n := range rooms {
			if i < n {
				h.apply(t, Join{To: to(room.Selector{IDs: []string{id}}), Rooms: []string{fmt.Sprint(n)}})
			}
		}
		h.readers.Go(func() {
			buf := make([]byte, 4<<10)
			for {
				n, err := c.NetConn().Read(buf)
				if err != nil {
					return
				}
				if h.bytes.Add(int64(n)) == h.want.Load() {
					h.done <- struct{}{}
				}
			}
		})
	}
	return h
}

// dialTCP joins the default namespace over WebSocket.
func dialTCP(t testing.TB, addr string) (c *websocket.Conn, id string) {
	t.Helper()
	d := websocket.Dialer{ReadBufferSize: 512, WriteBufferSize: 512}
	c, res, err := d.Dial("ws://"+addr+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close() // gorilla has left nothing in it
	if err := c.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`0{"sid":"`, `40{"sid":"`} {
		_, packet, err := c.ReadMessage()
		if string(packet) == "2" {
			_ = c.WriteMessage(websocket.TextMessage, []byte("3"))
			_, packet, err = c.ReadMessage()
		}
		rest, ok := strings.CutPrefix(string(packet), want)
		if err != nil || !ok {
			t.Fatalf("waiting for %s: %q, %v", want, packet, err)
		}
		id, _, _ = strings.Cut(rest, `"`)
	}
	return c, id
}

func (h *hall) apply(t testing.TB, op Op) int {
	t.Helper()
	r, err := h.Apply(context.Background(), op)
	if err != nil {
		t.Fatalf("%T: %v", op, err)
	}
	return r.Matched
}

func (h *hall) end(t testing.TB) {
	for _, c := range h.conns {
		_ = c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	_ = h.http.Close()
	h.readers.Wait()
}

// emit sends one event to a room and returns when all its members have read it.
func (h *hall) emit(t testing.TB, o Emit, members int) {
	h.want.Store(h.bytes.Load() + int64(members)*frameSize)
	if n := h.apply(t, o); n != members {
		t.Fatalf("matched %d, want %d", n, members)
	}
	select {
	case <-h.done:
	case <-time.After(time.Minute):
		t.Fatalf("browsers have read %d bytes, want %d", h.bytes.Load(), h.want.Load())
	}
}

// frameSize is what such an event takes on the wire: a frame's header of two
// bytes, Engine.IO's packet type, and the text.
var frameSize = int64(2 + 1 + len(`2["n",`) + len(fanoutArgs) - 1)

func toRoom(members int) Emit {
	return Emit{To: to(room.Selector{Rooms: []string{fmt.Sprint(members)}}), Event: "n", Args: fanoutArgs}
}

// An emit allocates what it takes to encode the event, and nothing for a
// recipient: twice as many recipients allocate the same, from the emit to the
// last byte's way into the kernel.
func TestFanOutAllocatesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections; run without -short")
	}
	const few, many = 1000, 2000
	h := newHall(t, engineio.Options{}, many, few, many)
	var key string
	allocs := func(members int) float64 {
		o := toRoom(members)
		o.ConflateKey = key
		return testing.AllocsPerRun(20, func() { h.emit(t, o, members) })
	}
	allocs(many) // queues and lists have their room now
	// The runtime allocates now and then as well: what counts is the best of a
	// few attempts.
	best := func() (each float64) {
		for range 5 {
			a, b := allocs(few), allocs(many)
			each = (b - a) / (many - few)
			t.Logf("with the key %q %v allocations for %d recipients, %v for %d: %.4f for each", key, a, few, b, many, each)
			if each < 0.01 {
				break
			}
		}
		return each
	}
	for _, key = range []string{"", "k"} { // to empty queues a key costs nothing
		if each := best(); each >= 0.01 {
			t.Errorf("with the key %q %.4f allocations for each recipient, want none", key, each)
		}
	}
}

// BenchmarkEmitTCP is one event to a room, from the operation until all have
// read it, over loopback.
func BenchmarkEmitTCP(b *testing.B) {
	for _, members := range []int{1, 1_000, 5_000} {
		b.Run(fmt.Sprint(members), func(b *testing.B) {
			h := newHall(b, engineio.Options{}, members, members)
			o := toRoom(members)
			b.ReportAllocs()
			for b.Loop() {
				h.emit(b, o, members)
			}
			perRecipient(b, members)
		})
	}
}

// BenchmarkEmitQueue is the same without a network: to polling sessions between
// two of their polls, so that the event ends in their queues. A volatile event is
// dropped there, and one with a key replaces the one before.
func BenchmarkEmitQueue(b *testing.B) {
	for _, members := range []int{1_000, 10_000} {
		s := newPolledServer(b)
		paths := make([]string, members)
		for i := range paths {
			paths[i] = joinByPolling(b, s)
		}
		everybody := Emit{To: everybody, Event: "n", Args: fanoutArgs}
		volatile, conflated := everybody, everybody
		volatile.Volatile = true
		conflated.ConflateKey = "k"
		b.Run(fmt.Sprintf("queued/%d", members), func(b *testing.B) {
			b.ReportAllocs()
			for n := 1; b.Loop(); n++ {
				if _, err := s.Apply(context.Background(), everybody); err != nil {
					b.Fatal(err)
				}
				if n%100 == 0 {
					b.StopTimer()
					for _, path := range paths {
						serve(b, s, http.MethodGet, path, "")
					}
					b.StartTimer()
				}
			}
			perRecipient(b, members)
		})
		b.Run(fmt.Sprintf("conflated/%d", members), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Apply(context.Background(), conflated); err != nil {
					b.Fatal(err)
				}
			}
			perRecipient(b, members)
		})
		b.Run(fmt.Sprintf("volatile/%d", members), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Apply(context.Background(), volatile); err != nil {
					b.Fatal(err)
				}
			}
			perRecipient(b, members)
		})
	}
}

// newPolledServer is a server for clients that fetch when the test has them do so.
func newPolledServer(t testing.TB) *Server {
	t.Helper()
	s, err := NewServer(Options{Engine: engineio.Options{
		PingInterval: time.Hour, Logger: slog.New(slog.DiscardHandler),
		Limits: engineio.Limits{Pending: -1, AddressPending: -1, AddressRate: -1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // nobody fetches what there is: it need not wait
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
	})
	return s
}

func perRecipient(b *testing.B, members int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(members), "ns/recipient")
}

// joinByPolling opens a session in the default namespace and returns where it
// polls.
func joinByPolling(t testing.TB, s http.Handler) string {
	t.Helper()
	const path = "/socket.io/?EIO=4&transport=polling"
	sid, _, _ := strings.Cut(strings.TrimPrefix(serve(t, s, http.MethodGet, path, ""), `0{"sid":"`), `"`)
	own := path + "&sid=" + sid
	serve(t, s, http.MethodPost, own, "40")
	serve(t, s, http.MethodGet, own, "")
	return own
}

// serve has a request answered without a network.
func serve(t testing.TB, s http.Handler, method, path, body string) string {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return w.Body.String()
}

// needFiles skips where a process may not open that many files.
func needFiles(t testing.TB, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("reading RLIMIT_NOFILE: %v", err)
	}
	if limit.Cur < n {
		t.Skipf("needs %d open files, RLIMIT_NOFILE is %d: raise it with ulimit -n", n, limit.Cur)
	}
}
