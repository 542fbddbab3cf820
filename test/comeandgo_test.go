package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/backend"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	comeRounds = 3
	// comeWorkers is how many handshakes are under way at once. Each has its
	// share of the connections and no goroutine for each: the race detector
	// bounds those.
	comeWorkers = 64
	// comeGoroutines may stay: the pollers', the readers' that wait for work, two for each
	// processor, and the runtime's own. Each of a round's connections that stays is one.
	comeGoroutines = 32
	// comeFiles stay: epoll's, and what wakes it.
	comeFiles = 2
	// comeObjects may stay of what the packages of the sessions allocated: maps' and
	// pools' own, flushers' room for the queues of 64 sessions each, and what the runtime keeps of goroutines that waited in a select.
	// A session that stays is ten or more.
	comeObjects = 300
	// comeLoad is between two events to everybody.
	comeLoad = 100 * time.Millisecond
	// comePatience is how long the last of them may take to go.
	comePatience = 15 * time.Second
	// comeEnd bounds a round; it only matters to a test that fails.
	comeEnd = time.Minute
	// soakRounds and soakEach make 200,000 connections.
	soakRounds = 100
	soakEach   = 2000
)

// TestComeAndGo has many connections come, send an event, hear one in their room
// and go in different ways, while everybody is sent events, in rounds: after each
// no goroutine, no descriptor and no object of theirs is left in the daemon. There
// are 3 rounds of 1,000; with SOAK=1 100 of 2,000; $COMEANDGO is another number
// for each: COMEANDGO=10000 go test -run ComeAndGo -v ./test
func TestComeAndGo(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections; run without -short")
	}
	n, rounds := 1000, comeRounds
	if os.Getenv("SOAK") != "" {
		n, rounds = soakEach, soakRounds
	}
	if s := os.Getenv("COMEANDGO"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 100 {
			t.Fatalf("$COMEANDGO is %q, want a number from 100 on", s)
		}
	}
	needFiles(t, uint64(n+n/10+500)) // a polling client may hold two connections for a moment
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds)*comeEnd)
	defer cancel()
	t.Setenv("GODEBUG", "memprofilerate=1")        // the daemon's heap profile counts every object
	d := startDaemon(ctx, t, "--ping-interval=1h") // nobody here answers pings
	control := connectTo(t, d.control)
	emitter, registry := fanoutv1.NewEmitterServiceClient(control), fanoutv1.NewRegistryServiceClient(control)
	if _, err := emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "first"}); err != nil {
		t.Fatal(err) // what a backend's connection costs belongs to the start
	}
	received := receiveUps(ctx, t, d.control)
	start := left(ctx, t, d, nil)
	t.Logf("at the start: %v", start)
	gone := func(is leftover) bool {
		return is.goroutines <= start.goroutines+comeGoroutines && is.files <= start.files+comeFiles && is.objects <= start.objects+comeObjects
	}
	stopLoad := loadAll(ctx, t, emitter)
	defer stopLoad()
	for round := range rounds {
		began := time.Now()
		all := come(ctx, t, d.listen, n, round)
		hear(ctx, t, emitter, registry, all)
		each(t, n, func(i int) error { return all[i].leave(ctx, i) })
		is := left(ctx, t, d, gone)
		t.Logf("round %2d, %d connections in %v: %v", round+1, n, time.Since(began).Round(time.Millisecond), is)
		if !gone(is) {
			t.Errorf("round %d left %v; the start was %v", round+1, is, start)
			t.Logf("its goroutines:\n%s", get(t, "http://"+d.ops+"/debug/pprof/goroutine?debug=1"))
			t.Logf("its objects:\n%s", get(t, "http://"+d.ops+"/debug/pprof/heap?debug=1"))
			t.FailNow()
		}
	}
	stopLoad()
	eventually(ctx, t, "the consumer has what was sent", func() bool { return received.Load() >= int64(n*rounds) })
}

// receiveUps is a consumer that counts the events "up".
func receiveUps(ctx context.Context, t *testing.T, control string) *atomic.Int64 {
	t.Helper()
	client, err := backend.Dial(ctx, control, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	c := client.Consumer(backend.ConsumerOptions{Group: "g"})
	c.On("up", func(context.Context, *backend.Event) (backend.Reply, error) { n.Add(1); return nil, nil })
	ctx, stop := context.WithCancel(ctx)
	var consuming sync.WaitGroup
	consuming.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() { stop(); consuming.Wait(); _ = client.Close() })
	eventually(ctx, t, "the consumer is there", func() bool {
		return len(group(ctx, t, fanoutv1.NewAdminServiceClient(client.GRPC())).GetConsumers()) == 1
	})
	return &n
}

// loadPacket is what everybody is sent meanwhile.
const loadPacket = `42["load"]`

// loadAll sends events to everybody until stop is called.
func loadAll(ctx context.Context, t *testing.T, emitter fanoutv1.EmitterServiceClient) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	var loading sync.WaitGroup
	loading.Go(func() {
		tick := time.NewTicker(comeLoad)
		defer tick.Stop()
		for {
			if _, err := emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true, Except: []string{"quiet"}}, Event: "load"}); err != nil && ctx.Err() == nil {
				t.Errorf("Emit: %v", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); loading.Wait() }
}

// comer is one connection: over WebSocket, or by polling.
type comer struct {
	ws   *websocket.Conn
	poll *poller
}

// come connects n of them.
func come(ctx context.Context, t *testing.T, address string, n, round int) []*comer {
	t.Helper()
	// Each round has an address of its own, so that ports do not run out.
	tcp := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(round+1))}}
	if l, err := net.Listen("tcp", tcp.LocalAddr.String()); err != nil {
		tcp.LocalAddr = nil // a system with one loopback address
	} else {
		_ = l.Close()
	}
	all := make([]*comer, n)
	each(t, n, func(i int) (err error) {
		all[i], err = comeOne(ctx, tcp, address, i)
		return err
	})
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// hear has all of them join a room and hear one event there.
func hear(ctx context.Context, t *testing.T, emitter fanoutv1.EmitterServiceClient, registry fanoutv1.RegistryServiceClient, all []*comer) {
	t.Helper()
	joined, err := registry.Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{All: true}, Rooms: []string{"room"}})
	if err != nil || int(joined.GetAffected()) != len(all) {
		t.Fatalf("Join: %v, %v, want %d affected", joined, err, len(all))
	}
	// Those that will be cut while a poll of theirs waits: an event would answer it.
	var quiet []string
	for i, c := range all {
		if c.poll != nil && cutsPoll(i) {
			quiet = append(quiet, c.poll.id)
		}
	}
	if _, err := registry.Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: quiet}, Rooms: []string{"quiet"}}); err != nil {
		t.Fatal(err)
	}
	sent, err := emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{"room"}}, Event: "n", ArgsJson: "[1]"})
	if err != nil || int(sent.GetMatched()) != len(all) {
		t.Fatalf("Emit: %v, %v, want %d matched", sent, err, len(all))
	}
	each(t, len(all), func(i int) error { return all[i].exchange(`42["up"]`, `42["n",1]`) })
}

// each calls f with 0 to n-1 from several goroutines.
func each(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var workers sync.WaitGroup
	for worker := range comeWorkers {
		workers.Go(func() {
			for i := worker; i < n; i += comeWorkers {
				if err := f(i); err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	workers.Wait()
}

// comeOne opens connection i and joins the default namespace: one in ten by polling.
func comeOne(ctx context.Context, tcp *net.Dialer, address string, i int) (*comer, error) {
	if i%10 == 0 {
		p := &poller{tcp: tcp, url: "http://" + address + "/socket.io/?EIO=4&transport=polling"}
		p.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := tcp.DialContext(ctx, network, address)
			if err == nil {
				p.keep(c)
			}
			return c, err
		}}
		return &comer{poll: p}, p.join(ctx)
	}
	one, err := joinSwarm(ctx, &websocket.Dialer{
		NetDialContext: tcp.DialContext, ReadBufferSize: 256, WriteBufferSize: 256, WriteBufferPool: writeBuffers,
	}, address)
	if err != nil {
		return nil, err
	}
	return &comer{ws: one.conn}, nil
}

var writeBuffers = &sync.Pool{}

// exchange sends one packet and awaits another.
func (c *comer) exchange(send, want string) error {
	if c.poll != nil {
		if err := c.poll.post(send); err != nil {
			return err
		}
		return c.poll.get(want)
	}
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(send)); err != nil {
		return err
	}
	for {
		_, got, err := c.ws.ReadMessage()
		if err == nil && string(got) == want {
			return nil
		}
		if err != nil || string(got) != loadPacket {
			return fmt.Errorf("waiting for %q: got %q, %w", want, got, err)
		}
	}
}

// leave ends connection i: it is cut, or says goodbye in one of the ways there
// are.
func (c *comer) leave(ctx context.Context, i int) error {
	if c.poll != nil {
		defer c.poll.hangUp()
		if cutsPoll(i) {
			return c.poll.cut(ctx)
		}
		return c.poll.post("1")
	}
	defer c.ws.Close()
	switch i % 4 {
	case 0: // as a browser's tab that closes
		return c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""))
	case 1: // as socket.disconnect() does
		if err := c.ws.WriteMessage(websocket.TextMessage, []byte("41")); err != nil {
			return err
		}
		return c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	case 2: // the end of the stream without a word
		return nil
	}
	return c.ws.NetConn().(*net.TCPConn).SetLinger(0) // a reset
}

// cutsPoll tells which of those that poll leave without a word.
func cutsPoll(i int) bool { return i%20 == 0 }

// poller is a client that polls.
type poller struct {
	id     string // of its connection
	tcp    *net.Dialer
	url    string
	client http.Client

	mu    sync.Mutex
	conns []net.Conn // all there were: an http.Transport may keep one that it never used
	ended bool
}

func (p *poller) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	if p.ended {
		_ = c.Close()
	}
}

func (p *poller) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *poller) join(ctx context.Context) error {
	body, err := p.do(ctx, http.MethodGet, "")
	if err != nil {
		return err
	}
	sid, _, ok := strings.Cut(strings.TrimPrefix(body, `0{"sid":"`), `"`)
	if !ok {
		return fmt.Errorf("opening was answered %q", body)
	}
	p.url += "&sid=" + sid
	if err := p.post("40"); err != nil {
		return err
	}
	if body, err = p.do(ctx, http.MethodGet, ""); err != nil || !strings.HasPrefix(body, `40{"sid":"`) {
		return fmt.Errorf("joining was answered %q, %w", body, err)
	}
	p.id, err = joined(body)
	return err
}

func (p *poller) get(want string) error {
	for {
		body, err := p.do(context.Background(), http.MethodGet, "")
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", want, err)
		}
		for packet := range strings.SplitSeq(body, "\x1e") {
			switch packet {
			case want:
				return nil
			case loadPacket:
			default:
				return fmt.Errorf("waiting for %q: a poll was answered %q", want, body)
			}
		}
	}
}

func (p *poller) post(packet string) error {
	if body, err := p.do(context.Background(), http.MethodPost, packet); err != nil || body != "ok" {
		return fmt.Errorf("posting %q was answered %q, %w", packet, body, err)
	}
	return nil
}

// cut ends the connection with a poll pending: the end follows right behind it
// on the wire. An http.Client could take the poll back before it is sent.
func (p *poller) cut(ctx context.Context) error {
	u, err := url.Parse(p.url)
	if err != nil {
		return err
	}
	c, err := p.tcp.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.RequestURI(), u.Host)
	return err
}

func (p *poller) do(ctx context.Context, method, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	res, err := p.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return string(b), err
}

// leftover is what a daemon without sessions holds.
type leftover struct {
	goroutines, files int
	objects           int   // allocated by the packages of the sessions, and in use
	heap, live        int64 // bytes in use: of pages, and of what is in them
	resident          int64 // bytes
}

func (l leftover) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d objects, %d KiB of heap with %d KiB in it, %d KiB resident", l.goroutines, l.files, l.objects, l.heap>>10, l.live>>10, l.resident>>10)
}

// left waits until the daemon has no session, and a while longer until enough
// has gone, and returns what it holds.
func left(ctx context.Context, t *testing.T, d daemon, enough func(leftover) bool) leftover {
	t.Helper()
	polling, websockets, ended := 0.0, 0.0, false
	defer func() {
		if !ended {
			t.Logf("left: %v sessions that poll, %v over WebSocket", polling, websockets)
		}
	}()
	eventually(ctx, t, "all sessions have ended", func() bool {
		m := metrics(t, d)
		polling, websockets = m[`fanoutd_sessions{transport="polling"}`], m[`fanoutd_sessions{transport="websocket"}`]
		return polling+websockets+m["fanoutd_connections"] == 0
	})
	ended = true
	var l leftover
	late := time.Now().Add(comePatience)
	eventually(ctx, t, "the daemon is at rest", func() bool {
		// Twice, for a pool keeps what it has until the second collection.
		var profile string
		for range 2 {
			profile = get(t, "http://"+d.ops+"/debug/pprof/heap?gc=1&debug=1")
		}
		m := metrics(t, d)
		l = leftover{
			goroutines: int(m["go_goroutines"]), files: int(m["process_open_fds"]), objects: sessionObjects(profile),
			heap: int64(m["go_memstats_heap_inuse_bytes"]), live: int64(m["go_memstats_heap_alloc_bytes"]),
			resident: int64(m["process_resident_memory_bytes"]),
		}
		return enough == nil || enough(l) || time.Now().After(late)
	})
	return l
}

// sessionObjects counts, in a heap profile with debug=1, the sampled objects in use
// that sessions, sockets, their queues or the poller allocated by themselves: a place
// for a connection that nobody gave back holds all of those. What a lock or a
// library allocated for them is not counted: the runtime keeps what its goroutines
// waited with.
func sessionObjects(profile string) int {
	total, objects := 0, 0
	for line := range strings.Lines(profile) {
		if !strings.HasPrefix(line, "#") { // "objects: bytes [allocated objects: bytes] @ stack"
			before, _, _ := strings.Cut(line, ":")
			objects, _ = strconv.Atoi(strings.TrimSpace(before)) // no number: no objects
			continue
		}
		for _, name := range []string{"sio", "netpoll", "dispatch"} {
			if strings.Contains(line, "fanoutd/internal/"+name) {
				total += objects
			}
		}
		objects = 0 // the callers of whoever allocated follow
	}
	return total
}

// get returns what is at url, over a connection that does not stay.
func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", url, res.StatusCode, err)
	}
	return body.String()
}
