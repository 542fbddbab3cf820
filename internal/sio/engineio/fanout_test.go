package engineio

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// realWorld is a world on a real TCP port: the path that sends without waiting.
type realWorld struct {
	*world
	addr string
}

func newRealWorld(t testing.TB, opts Options) *realWorld {
	t.Helper()
	w := newWorld(t, opts)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go w.http.Serve(l)
	return &realWorld{w, l.Addr().String()}
}

func (w *realWorld) dialTCP(query string) *websocket.Conn {
	w.t.Helper()
	c, res, err := websocket.DefaultDialer.Dial("ws://"+w.addr+"/socket.io/?"+query, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res.Body.Close()
	return c
}

// Many senders, many browsers, some of them slow enough for full socket
// buffers: each gets every message once, whole and in each sender's order.
func TestFanOutOverTCP(t *testing.T) {
	const browsers, senders, messages = 20, 4, 300
	// No browser here answers pings, and a busy machine may take minutes.
	w := newRealWorld(t, Options{MaxQueue: 1 << 30, PingInterval: time.Hour})
	defer w.end()
	pad := strings.Repeat("x", 20_000) // 24 MB for each browser: more than socket buffers hold
	var reading sync.WaitGroup
	for i := range browsers {
		c := w.dialTCP(freshWS)
		defer c.Close()
		reading.Go(func() {
			if i%4 == 0 {
				time.Sleep(50 * time.Millisecond) // let it fill up; nothing depends on how long
			}
			next := [senders]int{}
			for n := 0; n < senders*messages; {
				_, b, err := c.ReadMessage()
				if err != nil {
					t.Errorf("browser %d after %d messages: %v", i, n, err)
					return
				}
				var from, number int
				head, tail, _ := strings.Cut(string(b), " ")
				if _, err := fmt.Sscanf(head, "4%d.%d", &from, &number); err != nil {
					continue // open
				}
				if number != next[from] || tail != pad {
					t.Errorf("browser %d: message %d of sender %d, want %d; %d bytes", i, number, from, next[from], len(tail))
					return
				}
				next[from]++
				n++
			}
		})
	}
	for len(w.all()) < browsers {
		time.Sleep(time.Millisecond)
	}
	var sending sync.WaitGroup
	for from := range senders {
		sending.Go(func() {
			for number := range messages {
				m := Text(fmt.Appendf(nil, "%d.%d %s", from, number, pad))
				for _, h := range w.all() {
					h.session.Send(m)
				}
				w.server.Pace([]*Message{m})
			}
		})
	}
	sending.Wait()
	reading.Wait()
}

func (w *world) all() []*heard {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*heard(nil), w.sessions...)
}

// A browser that does not read costs the others nothing and is closed alone.
func TestFrozenBrowserOverTCP(t *testing.T) {
	w := newRealWorld(t, Options{MaxQueue: 1 << 20})
	defer w.end()
	frozen := w.dialTCP(freshWS)
	defer frozen.Close()
	c := w.dialTCP(freshWS)
	defer c.Close()
	for len(w.all()) < 2 {
		time.Sleep(time.Millisecond)
	}
	m := Text([]byte(strings.Repeat("x", 100_000)))
	const messages = 200                          // 20 MB
	if _, _, err := c.ReadMessage(); err != nil { // open
		t.Fatal(err)
	}
	for n := range messages {
		for _, h := range w.all() {
			h.session.Send(m)
		}
		w.server.Pace([]*Message{m})
		// In step with the browser that reads: it is never behind, however busy
		// the machine is.
		if _, _, err := c.ReadMessage(); err != nil {
			t.Fatalf("after %d messages: %v", n, err)
		}
	}
	var reasons []Reason
	for _, h := range w.all() {
		reasons = append(reasons, h.session.Reason())
	}
	if reasons[0] != ReasonSlowConsumer && reasons[1] != ReasonSlowConsumer || reasons[0] == reasons[1] {
		t.Errorf("reasons %q, want one slow consumer", reasons)
	}
}

func TestSkip(t *testing.T) {
	msgs := []*Message{Text([]byte("a")), Text([]byte("bc")), Text([]byte("def"))} // frames of 4, 5 and 6 bytes
	for n, want := range map[int][2]int{0: {0, 0}, 3: {0, 3}, 4: {1, 0}, 8: {1, 4}, 9: {2, 0}, 14: {2, 5}, 15: {3, 0}} {
		if whole, partial := skip(msgs, n); whole != want[0] || partial != want[1] {
			t.Errorf("skip %d bytes: %d messages and %d bytes, want %v", n, whole, partial, want)
		}
	}
	b := rest(msgs[1:], 2)
	expect(t, "rest", string(b[0])+string(b[1]), string(msgs[1].frame[2:])+string(msgs[2].frame))
}

// BenchmarkFanOut is one message to a room of browsers that read at once.
func BenchmarkFanOut(b *testing.B) {
	for _, browsers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(browsers), func(b *testing.B) {
			w := newRealWorld(b, Options{PingInterval: time.Hour})
			defer w.end()
			var delivered sync.WaitGroup
			for range browsers {
				c := w.dialTCP(freshWS)
				defer c.Close()
				c.ReadMessage()
				go func() {
					buf := make([]byte, 64<<10)
					for left := 0; ; {
						n, err := c.NetConn().Read(buf)
						if err != nil {
							return
						}
						for left += n; left >= 103; left -= 103 {
							delivered.Done()
						}
					}
				}()
			}
			all := w.all()
			m := Text(make([]byte, 100)) // a frame of 103 bytes
			b.ReportAllocs()
			for b.Loop() {
				delivered.Add(browsers)
				for _, h := range all {
					h.session.Send(m)
				}
				delivered.Wait()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*browsers), "ns/delivery")
		})
	}
}
