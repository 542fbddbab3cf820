package sio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

const (
	loadStayers  = 24 // are there all the time, and get everything
	loadComers   = 12 // come and go
	loadVisits   = 15 // of each comer
	loadEmitters = 4  // at once
	loadEmits    = 150
	loadAsks     = 20
	loadEvents   = 60 // with an ack, of each stayer
	// loadPatience bounds what waits; it only matters to a test that fails.
	loadPatience = 30 * time.Second
)

// summary is a Backend that counts, and answers every event with its arguments.
type summary struct {
	t                                           *testing.T
	connecting, connected, events, disconnected atomic.Int64
}

func (b *summary) Connecting(context.Context, *Socket, []byte) (Admission, error) {
	b.connecting.Add(1)
	return Admission{Rooms: []string{"at birth"}}, nil
}
func (b *summary) Connected(*Socket) { b.connected.Add(1) }
func (b *summary) Event(s *Socket, e Event) {
	b.events.Add(1)
	if err := s.Ack(e.AckID, []byte(e.Args), e.Attachments); err != nil {
		b.t.Errorf("Ack: %v", err)
	}
}
func (b *summary) RecoveryExpired(LostConnection) {}
func (b *summary) Disconnected(*Socket, End)      { b.disconnected.Add(1) }

// TestLoad does everything at once over real connections: clients come by
// polling and by WebSocket, upgrade, join, ask, answer and go in all ways, while
// several emitters send text, binary, volatile events and questions. What stays
// gets each event once and in its emitter's order; all counts agree in the end.
// It is for the race detector to watch.
func TestLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for seconds; run without -short")
	}
	backend := &summary{t: t}
	s, err := NewServer(Options{
		Backend: backend,
		Engine:  engineio.Options{PingInterval: 300 * time.Millisecond, PingTimeout: loadPatience, Logger: slog.New(slog.DiscardHandler)},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: s}
	go func() { _ = hs.Serve(l) }()
	t.Cleanup(func() { _ = hs.Close() })
	r := &load{t: t, server: s, addr: l.Addr().String()}

	stayers := make([]*loadClient, loadStayers)
	for i := range stayers {
		stayers[i] = r.connect(i%2 == 0)
		r.apply(Join{To: idOf(stayers[i]), Rooms: []string{"stay"}})
	}
	var acting, emitting sync.WaitGroup
	for i, c := range stayers {
		acting.Go(func() { c.talk(loadEvents) })
		if i%4 == 0 {
			acting.Go(c.upgrade)
		}
	}
	for i := range loadComers {
		acting.Go(func() {
			for visit := range loadVisits {
				r.visit(i + visit)
			}
		})
	}
	volatile := make([]int, loadEmitters) // that were queued for stayers
	for from := range loadEmitters {
		emitting.Go(func() { volatile[from] = r.emit(from) })
	}
	emitting.Wait()
	acting.Wait()

	stay := Target{Namespace: "/", Selector: room.Selector{Rooms: []string{"stay"}}}
	if n := r.apply(Emit{To: stay, Event: "end"}); n != loadStayers {
		t.Errorf("%d stayers are there in the end, want %d", n, loadStayers)
	}
	heard, lost := 0, 0
	for i, c := range stayers {
		select {
		case <-c.ended:
		case <-time.After(loadPatience):
			t.Fatalf("stayer %d waits for the end", i)
		}
		c.check(i)
		heard += c.volatile
		if v, err := s.Connection(t.Context(), "/", c.id); err != nil {
			t.Errorf("stayer %d: %v", i, err)
		} else {
			lost += v.VolatileDropped
		}
		_ = c.close()
	}
	for _, n := range volatile {
		heard -= n
	}
	if heard != 0 {
		t.Errorf("stayers have heard %+d volatile events more than were queued for them", heard)
	}
	t.Logf("%d connections, %d events from them, %d volatile events queued, %d dropped", backend.connecting.Load(), backend.events.Load(), sum(volatile), lost)
	if sum(volatile)+lost != loadStayers*loadEmitters*loadEmits {
		t.Errorf("%d volatile events were queued and %d dropped, want %d in all", sum(volatile), lost, loadStayers*loadEmitters*loadEmits)
	}
	r.end(backend)
}

func sum(all []int) (n int) {
	for _, x := range all {
		n += x
	}
	return n
}

// load is the test under way.
type load struct {
	t      *testing.T
	server *Server
	addr   string
	said   atomic.Int64 // events with an ack that came
}

func idOf(c *loadClient) Target {
	return Target{Namespace: "/", Selector: room.Selector{IDs: []string{c.id}}}
}

func (r *load) apply(op Op) int {
	res, err := r.server.Apply(context.Background(), op)
	if err != nil {
		r.t.Errorf("%T: %v", op, err)
	}
	return res.Matched
}

// end waits until everybody has gone and compares the counts.
func (r *load) end(b *summary) {
	for late := time.Now().Add(loadPatience); ; time.Sleep(10 * time.Millisecond) {
		st := r.server.Stats()
		if st.Engine.Sessions["polling"]+st.Engine.Sessions["websocket"]+st.Connections == 0 {
			break
		}
		if time.Now().After(late) {
			r.t.Errorf("not gone: %+v", st)
			break
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), loadPatience)
	defer cancel()
	if err := r.server.Shutdown(ctx); err != nil {
		r.t.Errorf("Shutdown: %v", err)
	}
	const all = loadStayers + loadComers*loadVisits
	for what, got := range map[string]int64{
		"connecting": b.connecting.Load(), "connected": b.connected.Load(), "disconnected": b.disconnected.Load(),
	} {
		if got != all {
			r.t.Errorf("backends were told %d times: %s, want %d", got, what, all)
		}
	}
	if got := int64(r.server.Stats().Received); got != b.events.Load() || got != r.said.Load() || got != loadStayers*loadEvents+loadComers*loadVisits {
		r.t.Errorf("%d events were counted, %d told, %d answered, want %d", got, b.events.Load(), r.said.Load(), loadStayers*loadEvents+loadComers*loadVisits)
	}
}

// emit sends events of each kind to those who stay, to others and to all. It
// returns how many volatile ones were queued.
func (r *load) emit(from int) (volatile int) {
	stay := Target{Namespace: "/", Selector: room.Selector{Rooms: []string{"stay"}}}
	for n := range loadEmits {
		if r.t.Failed() {
			return volatile // else no question is ever answered
		}
		args := fmt.Appendf(nil, "[%d,%d]", from, n)
		if got := r.apply(Emit{To: stay, Event: "text", Args: args}); got != loadStayers {
			r.t.Errorf("emitter %d: event %d matched %d, want %d", from, n, got, loadStayers)
		}
		if got := r.apply(Emit{
			To: stay, Event: "binary", Args: fmt.Appendf(nil, `[%d,%d,{"_placeholder":true,"num":0}]`, from, n),
			Attachments: [][]byte{bytes.Repeat([]byte{byte(n)}, 50)},
		}); got != loadStayers {
			r.t.Errorf("emitter %d: binary event %d matched %d, want %d", from, n, got, loadStayers)
		}
		r.apply(Emit{To: Target{Namespace: "/", Selector: room.Selector{Rooms: []string{"visit", "at birth"}, Except: []string{"stay"}}}, Event: "visit", Args: args})
		if n%(loadEmits/loadAsks) == 0 {
			r.ask(stay, from, n) // then everybody may be idle for a moment
		}
		volatile += r.apply(Emit{To: stay, Event: "volatile", Args: args, Volatile: true})
	}
	return volatile
}

func (r *load) ask(to Target, from, n int) {
	summary, err := r.server.EmitWithAck(context.Background(), AckRequest{
		Emit: Emit{To: to, Event: "ask", Args: fmt.Appendf(nil, "[%d,%d]", from, n)}, Timeout: loadPatience,
	}, func(o AckResult) bool {
		if want := fmt.Sprintf("[%d,%d]", from, n); o.Outcome != Answered || string(o.Args) != want {
			r.t.Errorf("%s answered %s, outcome %d, want %s", o.ConnectionID, o.Args, o.Outcome, want)
		}
		return true
	})
	if err != nil || summary.Answered != loadStayers {
		r.t.Errorf("emitter %d: ask %d: %+v, %v", from, n, summary, err)
	}
}

// visit is one connection that comes, says something, and goes in the n-th way.
func (r *load) visit(n int) {
	c := r.connect(n%2 == 0)
	r.apply(Join{To: idOf(c), Rooms: []string{"visit"}})
	if n%6 == 0 {
		c.upgrade()
	}
	c.talk(1)
	c.leaving.Store(true)
	switch n % 5 {
	case 0:
		r.apply(Leave{To: idOf(c), Rooms: []string{"visit"}})
		c.say("41") // the session goes with its connection
		_ = c.close()
	case 1:
		if got := r.apply(Disconnect{To: idOf(c), Mode: DisconnectTransport}); got != 1 {
			r.t.Errorf("Disconnect matched %d", got)
		}
	case 2:
		if got := r.apply(Disconnect{To: idOf(c)}); got != 1 {
			r.t.Errorf("Disconnect matched %d", got)
		}
		_ = c.close()
	case 3:
		c.cut()
	default:
		_ = c.close()
	}
	select {
	case <-c.done:
	case <-time.After(loadPatience):
		r.t.Errorf("visit %d has not ended", n)
	}
}

// loadClient is one client. A goroutine of its own reads, over one transport
// after the other, and owns what it has heard.
type loadClient struct {
	r    *load
	id   string
	url  string // of its polls, with its sid; empty: it began over WebSocket
	http *http.Client
	acks chan string // answers to what it said

	saying sync.Mutex // held while something is said, and while it changes over
	ws     *websocket.Conn

	upgraded chan *websocket.Conn // holds what to read from, after the last poll
	asked    atomic.Bool          // it wants to change over
	leaving  atomic.Bool          // an end is no error

	next     map[string]*[loadEmitters]int
	awaits   int // attachments: of a binary event, one
	volatile int
	fault    error
	ended    chan struct{} // closed when "end" has come
	done     chan struct{} // closed when the connection has ended
}

func (r *load) connect(polling bool) *loadClient {
	c := &loadClient{
		r: r, acks: make(chan string, 1), upgraded: make(chan *websocket.Conn, 1),
		next:  map[string]*[loadEmitters]int{"text": {}, "binary": {}, "volatile": {}, "ask": {}},
		ended: make(chan struct{}), done: make(chan struct{}),
	}
	if !polling {
		c.ws, c.id = dialTCP(r.t, r.addr)
		go c.listen(c.ws)
		return c
	}
	c.url = "http://" + r.addr + "/socket.io/?EIO=4&transport=polling"
	c.http = &http.Client{Transport: &http.Transport{}, Timeout: loadPatience}
	open := c.do(http.MethodGet, "")
	sid, _, _ := strings.Cut(strings.TrimPrefix(open, `0{"sid":"`), `"`)
	c.url += "&sid=" + sid
	c.say("40")
	var along []string // events that come with the answer, and pings before it
	for c.id == "" && !r.t.Failed() {
		for p := range strings.SplitSeq(c.do(http.MethodGet, ""), "\x1e") {
			if id, ok := strings.CutPrefix(p, `40{"sid":"`); ok {
				c.id, _, _ = strings.Cut(id, `"`)
			} else {
				along = append(along, p)
			}
		}
	}
	go func() {
		if len(along) > 0 {
			c.payload(strings.Join(along, "\x1e"))
		}
		c.listen(nil)
	}()
	return c
}

// do is one request of a polling client; it returns nothing once the client leaves.
func (c *loadClient) do(method, body string) string {
	req, err := http.NewRequest(method, c.url, strings.NewReader(body))
	if err != nil {
		c.r.t.Error(err)
		return ""
	}
	res, err := c.http.Do(req)
	if err != nil {
		if !c.leaving.Load() {
			c.r.t.Errorf("%s %q: %v", method, body, err)
		}
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if (err != nil || res.StatusCode != http.StatusOK) && !c.leaving.Load() {
		c.r.t.Errorf("%s %q: %d, %v", method, body, res.StatusCode, err)
	}
	if res.StatusCode != http.StatusOK {
		return ""
	}
	return string(b)
}

// say sends packets over the transport of the moment.
func (c *loadClient) say(packets ...string) {
	c.saying.Lock()
	defer c.saying.Unlock()
	if c.ws == nil {
		c.do(http.MethodPost, strings.Join(packets, "\x1e"))
		return
	}
	for _, p := range packets {
		kind := websocket.TextMessage
		if p[0] == 'b' { // as a polling client writes what is binary; ours is text
			kind, p = websocket.BinaryMessage, "data"
		}
		if err := c.ws.WriteMessage(kind, []byte(p)); err != nil && !c.leaving.Load() {
			c.r.t.Errorf("saying %q: %v", p, err)
		}
	}
}

// talk sends n events, every other one binary, each after the answer to the one before.
func (c *loadClient) talk(n int) {
	for i := range n {
		want := fmt.Sprintf("43%d[%d]", i, i)
		if i%2 == 0 {
			c.say(fmt.Sprintf(`42%d["said",%d]`, i, i))
		} else {
			want = fmt.Sprintf(`461-%d[{"_placeholder":true,"num":0}]`, i)
			c.say(fmt.Sprintf(`451-%d["said",{"_placeholder":true,"num":0}]`, i), "bZGF0YQ==")
		}
		select {
		case got := <-c.acks:
			if got != want {
				c.r.t.Errorf("%s: answered %q, want %q", c.id, got, want)
				return
			}
			c.r.said.Add(1)
		case <-time.After(loadPatience):
			c.r.t.Errorf("%s: no answer to event %d", c.id, i)
			return
		}
	}
}

// upgrade changes over to WebSocket as the stock client does: nothing is said
// meanwhile, and the last poll ends before the first frame is read.
func (c *loadClient) upgrade() {
	ws, res, err := websocket.DefaultDialer.Dial(strings.Replace(strings.Replace(c.url, "http:", "ws:", 1), "=polling", "=websocket", 1), nil)
	if err != nil {
		c.r.t.Errorf("upgrading: %v", err)
		return
	}
	_ = res.Body.Close() // gorilla has left nothing in it
	c.saying.Lock()
	defer c.saying.Unlock()
	if err := ws.WriteMessage(websocket.TextMessage, []byte("2probe")); err != nil {
		c.r.t.Errorf("probing: %v", err)
	}
	if _, m, err := ws.ReadMessage(); err != nil || string(m) != "3probe" {
		c.r.t.Errorf("probing was answered %q, %v", m, err)
	}
	c.asked.Store(true)
	select {
	case c.upgraded <- ws: // taken after the last poll
	case <-time.After(loadPatience):
		c.r.t.Error("the polls do not end")
	}
	c.upgraded <- nil // its place is free when the reader has taken the first
	if err := ws.WriteMessage(websocket.TextMessage, []byte("5")); err != nil {
		c.r.t.Errorf("changing over: %v", err)
	}
	c.ws = ws
}

// close ends the connection as a client does that has said enough.
func (c *loadClient) close() error {
	c.leaving.Store(true)
	c.saying.Lock()
	defer c.saying.Unlock()
	if c.ws == nil {
		c.do(http.MethodPost, "1")
		return nil
	}
	return c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""))
}

// cut ends a WebSocket with a reset; who polls says goodbye.
func (c *loadClient) cut() {
	if c.ws == nil {
		_ = c.close()
		return
	}
	_ = c.ws.NetConn().(*net.TCPConn).SetLinger(0)
	_ = c.ws.Close()
}

// listen reads over the WebSocket, or polls until there is one.
func (c *loadClient) listen(ws *websocket.Conn) {
	defer close(c.done)
	for ws == nil {
		if c.asked.Load() {
			ws = <-c.upgraded
			<-c.upgraded
			break
		}
		if !c.payload(c.do(http.MethodGet, "")) {
			c.http.CloseIdleConnections()
			return
		}
	}
	defer ws.Close()
	for {
		kind, m, err := ws.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.BinaryMessage {
			c.attachment()
		} else {
			c.packet(string(m))
		}
	}
}

// payload handles what a poll brought, and reports whether there is more to come.
func (c *loadClient) payload(body string) bool {
	if body == "" {
		return false
	}
	for p := range strings.SplitSeq(body, "\x1e") {
		switch {
		case p == "": // of a poll that failed
			return false
		case p == "1":
			return false
		case p[0] == 'b':
			c.attachment()
		case p == "6": // the poll has to end, for a change or for the end
			if c.leaving.Load() {
				return false
			}
		default:
			c.packet(p)
		}
	}
	return true
}

func (c *loadClient) attachment() {
	if c.awaits--; c.awaits < 0 {
		c.fail("an attachment of nothing")
	}
}

func (c *loadClient) fail(format string, args ...any) {
	if c.fault == nil {
		c.fault = fmt.Errorf(format, args...)
	}
}

// packet handles one text packet.
func (c *loadClient) packet(p string) {
	if c.awaits > 0 {
		c.fail("%q while an attachment is awaited", p)
	}
	switch {
	case p == "2":
		go c.say("3")
	case p == `42["end"]`:
		close(c.ended)
	case strings.HasPrefix(p, "43"):
		c.acks <- p
	case strings.HasPrefix(p, "46"):
		c.awaits++
		c.acks <- p
	case strings.HasPrefix(p, "451-"):
		c.awaits++
		c.event(p[len("451-"):])
	case strings.HasPrefix(p, "42"):
		c.event(p[len("42"):])
	case p == "41": // a Disconnect
	default:
		c.fail("unexpected packet %q", p)
	}
}

// event handles an event: its emitter's number, and its own number there.
func (c *loadClient) event(text string) {
	start := strings.IndexByte(text, '[')
	var ask uint64
	if start > 0 {
		ask, _ = strconv.ParseUint(text[:start], 10, 64)
	}
	var name string
	var from, n int
	var rest json.RawMessage
	if err := json.Unmarshal([]byte(text[start:]), &[]any{&name, &from, &n, &rest}); err != nil {
		c.fail("%q: %v", text, err)
		return
	}
	if name == "visit" {
		return
	}
	if ask > 0 {
		go c.say(fmt.Sprintf("43%d[%d,%d]", ask, from, n))
	}
	next := &c.next[name][from]
	step := 1
	if name == "ask" {
		step = loadEmits / loadAsks
	}
	switch {
	case name == "volatile" && n >= *next:
		c.volatile++
		*next = n + 1
	case n == *next:
		*next += step
	default:
		c.fail("%s %d of emitter %d came, want %d", name, n, from, *next)
	}
}

// check checks that a stayer, which has heard the end, has heard everything.
func (c *loadClient) check(i int) {
	err := c.fault
	for name, next := range c.next {
		for from, n := range next {
			if name != "volatile" && n < loadEmits {
				err = errors.Join(err, fmt.Errorf("%s of emitter %d came up to %d", name, from, n))
			}
		}
	}
	if err != nil {
		c.r.t.Errorf("stayer %d: %v", i, err)
	}
}
