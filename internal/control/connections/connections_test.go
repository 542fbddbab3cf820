package connections

import (
	"bytes"
	"log/slog"
	"maps"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory.
type pipes struct {
	net.Listener
	accepted chan net.Conn
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.accepted
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// peer is one connection: our end, nil if it was closed at once, and the peer's.
type peer struct {
	*Conn
	there net.Conn
	over  chan struct{} // closed when the peer sees the end
}

// world is a Limiter with a listener.
type world struct {
	t       *testing.T
	limiter *Limiter
	from    *pipes
	served  chan *Conn
	logged  bytes.Buffer
}

func inBubble(t *testing.T, o Options, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, from: &pipes{accepted: make(chan net.Conn)}, served: make(chan *Conn, 1000)}
		o.Logger = slog.New(slog.NewTextHandler(&w.logged, nil))
		w.limiter = New(o)
		l := w.limiter.Listen(w.from)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				w.served <- Of(c)
			}
		}()
		f(w)
		close(w.from.accepted)
	})
}

func (w *world) connect() *peer {
	w.t.Helper()
	there, here := net.Pipe()
	p := &peer{there: there, over: make(chan struct{})}
	go func() {
		_, _ = there.Read(make([]byte, 1))
		close(p.over)
	}()
	w.from.accepted <- here
	synctest.Wait()
	select {
	case p.Conn = <-w.served:
	default:
	}
	w.t.Cleanup(func() { _ = here.Close() })
	return p
}

// closed reports whether the peer sees its connection closed.
func (p *peer) closed() bool {
	synctest.Wait()
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// call is a call of somebody known, from its beginning to its end.
func (p *peer) call(ended <-chan struct{}) {
	p.Begin(ended)
	p.End(ended)
}

// expect compares how many there are, how many of strangers, and what was closed.
func (w *world) expect(open, strangers int, closed map[Reason]uint64) {
	w.t.Helper()
	s := w.limiter.Stats()
	want := map[string]uint64{}
	for _, r := range reasons {
		want[string(r)] = closed[r]
	}
	if s.Open != open || s.Strangers != strangers || !maps.Equal(s.Closed, want) {
		w.t.Errorf("got %+v, want %d open, %d of strangers, closed %v", s, open, strangers, closed)
	}
}

// A stranger's connection is closed when its time is over; one by which somebody known has
// called stays.
func TestStrangersHaveLittleTime(t *testing.T) {
	inBubble(t, Options{Timeout: 10 * time.Second}, func(w *world) {
		caller, stranger, leaves := w.connect(), w.connect(), w.connect()
		w.expect(3, 3, nil)
		time.Sleep(9 * time.Second)
		caller.call(nil)
		if err := leaves.Close(); err != nil {
			t.Error(err)
		}
		w.expect(2, 1, nil)
		if stranger.closed() {
			t.Error("a stranger's was closed before its time was over")
		}
		late := w.connect()
		time.Sleep(2 * time.Second)
		if !stranger.closed() || caller.closed() || late.closed() {
			t.Errorf("closed: the stranger's %v, the caller's %v, the late one's %v", stranger.closed(), caller.closed(), late.closed())
		}
		w.expect(2, 1, map[Reason]uint64{NoCall: 1})
		time.Sleep(time.Hour)
		if caller.closed() || !late.closed() {
			t.Errorf("closed after an hour: the caller's %v, the late one's %v", caller.closed(), late.closed())
		}
		if err := caller.Close(); err != nil {
			t.Error(err)
		}
		w.expect(0, 0, map[Reason]uint64{NoCall: 2})
	})
}

// When a caller's key ends its connection is a stranger's again: it is closed, unless a
// call of another key is under way, or somebody known calls by it.
func TestKeyEnds(t *testing.T) {
	inBubble(t, Options{Timeout: 10 * time.Second}, func(w *world) {
		ended, next := make(chan struct{}), make(chan struct{})
		idle, busy, rotated := w.connect(), w.connect(), w.connect()
		for _, p := range []*peer{idle, busy, rotated} {
			p.call(ended)
		}
		busy.Begin(next) // as a proxy that has several callers
		busy.Begin(ended)
		busy.End(ended)
		time.Sleep(65 * time.Second) // between two looks
		w.expect(3, 0, nil)
		close(ended)
		time.Sleep(10 * time.Second)
		w.expect(3, 2, nil)
		rotated.call(next)
		w.expect(3, 1, nil)
		time.Sleep(10 * time.Second)
		if !idle.closed() || busy.closed() || rotated.closed() {
			t.Errorf("closed: the idle one %v, the busy one %v, the one with the next key %v", idle.closed(), busy.closed(), rotated.closed())
		}
		w.expect(2, 0, map[Reason]uint64{KeyEnded: 1})
		close(next) // the call goes on: a request that never ends, say
		rotated.call(nil)
		time.Sleep(time.Minute)
		if !busy.closed() || rotated.closed() {
			t.Errorf("closed in the end: the busy one %v, the one with the next key %v", busy.closed(), rotated.closed())
		}
		rotated.Close()
		w.expect(0, 0, map[Reason]uint64{KeyEnded: 2})
	})
}

// Strangers make room for each other, and for nobody else than strangers.
func TestStrangersMakeRoom(t *testing.T) {
	inBubble(t, Options{Max: 400, Timeout: 10 * time.Second}, func(w *world) { // 100 for strangers
		callers := make([]*peer, 200)
		for i := range callers {
			callers[i] = w.connect()
			callers[i].call(nil)
		}
		strangers := make([]*peer, 150)
		for i := range strangers {
			strangers[i] = w.connect()
		}
		w.expect(300, 100, map[Reason]uint64{CrowdedOut: 50})
		for i, p := range strangers {
			if p.closed() != (i < 50) {
				t.Errorf("stranger %d: closed %v", i, p.closed())
			}
		}
		// Whoever has a key comes in meanwhile, up to the last place.
		for range 200 {
			p := w.connect()
			p.call(nil)
			callers = append(callers, p)
		}
		w.expect(400, 0, map[Reason]uint64{CrowdedOut: 150})
		if p := w.connect(); p.Conn != nil || !p.closed() {
			t.Error("there is a place too many")
		}
		w.expect(400, 0, map[Reason]uint64{CrowdedOut: 150, Full: 1})
		for i, p := range callers {
			if p.closed() {
				t.Errorf("caller %d: closed", i)
			}
		}
		callers[0].Close()
		if p := w.connect(); p.Conn == nil {
			t.Error("a place that was given up is not free")
		}
		for _, p := range callers[1:] {
			p.Close()
		}
		time.Sleep(time.Minute)
		w.expect(0, 0, map[Reason]uint64{CrowdedOut: 150, Full: 1, NoCall: 1})
		if n := strings.Count(w.logged.String(), "level=WARN"); n != 2 {
			t.Errorf("%d warnings, want one of each kind:\n%s", n, &w.logged)
		}
	})
}

// A stranger with a call under way, which has begun just now, is none.
func TestCallBeginsAsRoomIsMade(t *testing.T) {
	inBubble(t, Options{Max: 1}, func(w *world) {
		p := w.connect()
		p.begin(nil) // the first half of Begin
		if next := w.connect(); next.Conn != nil || p.closed() {
			t.Errorf("the next one is let in: %v, the caller's closed: %v", next.Conn != nil, p.closed())
		}
		p.Close()
	})
}

func TestNoLimit(t *testing.T) {
	inBubble(t, Options{Max: -1}, func(w *world) {
		for range 500 {
			w.connect()
		}
		w.expect(500, 500, nil)
		time.Sleep(time.Minute)
		w.expect(0, 0, map[Reason]uint64{NoCall: 500})
	})
}

// Calls without a key are few by a stranger's connection, and any number by a caller's.
func TestOpenCalls(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		p := w.connect()
		for range maxOpenCalls {
			if !p.BeginOpen() {
				t.Fatal("refused within the bound")
			}
		}
		if p.BeginOpen() {
			t.Error("let in beyond the bound")
		}
		p.EndOpen()
		if !p.BeginOpen() {
			t.Error("refused once there is room again")
		}
		p.call(nil)
		if !p.BeginOpen() {
			t.Error("refused by a connection of somebody known")
		}
		p.Close()
	})
}

func TestOf(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		p := w.connect()
		if Of(above{p.Conn}) != p.Conn || Of(p.there) != nil || Of(nil) != nil {
			t.Error("a connection is not found below another, or where there is none")
		}
		if FromContext(NewContext(t.Context(), p.Conn)) != p.Conn || FromContext(t.Context()) != nil {
			t.Error("a context does not say which is its connection")
		}
		var none *Conn
		none.Begin(nil)
		none.End(nil)
		if !none.BeginOpen() {
			t.Error("refused where there is no bound")
		}
		none.EndOpen()
		p.Close()
	})
}

type above struct{ net.Conn }

func (a above) NetConn() net.Conn { return a.Conn }

// What is known of callers goes when they do.
func TestFormerCallersAreForgotten(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		p, long := w.connect(), make(chan struct{})
		p.Begin(long)
		for range 100 {
			p.call(make(chan struct{}))
		}
		p.End(long)
		if n := len(p.calls); n != 1 {
			t.Errorf("%d callers are remembered, want the last", n)
		}
		p.Close()
	})
}

func TestCallsAllocateNothing(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		p, ended := w.connect(), make(chan struct{})
		p.call(ended)
		if n := testing.AllocsPerRun(100, func() { p.call(ended) }); n != 0 {
			t.Errorf("%v allocations for each call", n)
		}
		p.Close()
	})
}
