package test

import (
	"bufio"
	"bytes"
	"context"
	encoding "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	// siegePatience bounds one attack; it only matters to one that fails.
	siegePatience = 2 * time.Minute
	// emitPause is between two events for the honest clients.
	emitPause = 20 * time.Millisecond
	// visitPause is between two honest clients that come and go meanwhile.
	visitPause = 200 * time.Millisecond
)

// besieged are settings that let the daemon give up soon on who does not go on.
// Its counting limits are off, so that only what one session may cost, and for
// how long, bounds the memory. An attack that tests a limit turns it on.
var besieged = []string{
	"--ping-interval=2s", "--ping-timeout=4s", "--upgrade-timeout=2s", "--connect-timeout=5s", "--attachment-timeout=2s",
	"--max-pending=0", "--max-sessions=0", "--namespaces=/,/tenant-*", "--max-namespaces=1000",
}

// siege is a daemon under attack, and the honest clients that it serves
// meanwhile.
type siege struct {
	*testing.T
	ctx    context.Context
	giveUp context.CancelFunc // ends ctx
	daemon
	before footprint
	honest []*honest

	emitting sync.WaitGroup
	relieve  context.CancelFunc // ends emits and visits
	emitted  int                // once emitting is done
	visits   int                // once emitting is done
	closed   atomic.Bool        // nobody new is let in: no visits
	patience time.Duration      // until nothing is left of the attack

	mu         sync.Mutex
	transports []*http.Transport // of polling attackers
}

// besiege starts a daemon with these settings on top of the usual ones, and
// honest clients on both transports that are sent numbered events from now on.
func besiege(t *testing.T, binary string, flags ...string) *siege {
	t.Helper()
	return besiegeStarted(t, func(ctx context.Context) daemon {
		return runDaemon(ctx, t, binary, slices.Concat(besieged, flags)...)
	})
}

// besiegeStarted is besiege with what start starts, by the settings besieged.
func besiegeStarted(t *testing.T, start func(context.Context) daemon) *siege {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), siegePatience)
	t.Cleanup(cancel)
	s := &siege{T: t, ctx: ctx, giveUp: cancel, patience: reclaimPatience}
	s.daemon = start(ctx)
	emitter, registry := dialControl(t, s.control)
	room := []string{"honest"}
	var reading sync.WaitGroup
	t.Cleanup(reading.Wait)
	for _, connect := range []func() *honest{s.overWebSocket, s.overPolling, s.overWebSocket, s.overPolling} {
		h := connect()
		s.honest = append(s.honest, h)
		t.Cleanup(h.leave)
		reading.Go(h.listen)
		joined, err := registry.Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: []string{h.id}}, Rooms: room})
		if err != nil || joined.GetAffected() != 1 {
			t.Fatalf("Join affected %d connections: %v", joined.GetAffected(), err)
		}
	}
	s.before = s.footprint()
	running, stop := context.WithCancel(ctx)
	s.relieve = stop
	t.Cleanup(func() { stop(); s.emitting.Wait() })
	s.emitting.Go(func() { s.emit(running, emitter) })
	s.emitting.Go(func() { s.visit(running) })
	return s
}

// emit sends numbered events to the honest clients, and at last the end.
func (s *siege) emit(ctx context.Context, emitter fanoutv1.EmitterServiceClient) {
	send := func(event, args string) {
		res, err := emitter.Emit(s.ctx, &fanoutv1.EmitRequest{
			To: &fanoutv1.Target{Rooms: []string{"honest"}}, Event: event, ArgsJson: args,
		})
		if err != nil || int(res.GetMatched()) != len(s.honest) {
			s.Errorf("Emit %s%s matched %d connections, want %d: %v", event, args, res.GetMatched(), len(s.honest), err)
		}
	}
	tick := time.NewTicker(emitPause)
	defer tick.Stop()
	for ctx.Err() == nil && s.ctx.Err() == nil {
		send("n", fmt.Sprintf("[%d]", s.emitted))
		s.emitted++
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	send("end", "[]")
}

// visit has one honest client after another come, join and go.
func (s *siege) visit(ctx context.Context) {
	tick := time.NewTicker(visitPause)
	defer tick.Stop()
	for !s.closed.Load() && ctx.Err() == nil {
		h := s.overWebSocket()
		h.leave()
		s.visits++
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// lift ends the siege: the daemon is to hold nothing any more but its honest
// clients, which have been served all the time, and never to have grown by more
// than bound.
func (s *siege) lift(bound int64) {
	s.Helper()
	time.Sleep(10 * emitPause) // an honest client must still be served after the attack
	s.relieve()
	s.emitting.Wait()
	for _, h := range s.honest {
		select {
		case <-h.done:
			if h.err == nil && h.heard != s.emitted {
				h.err = fmt.Errorf("heard %d events", h.heard)
			}
			if h.err != nil {
				s.Errorf("an honest client over %s, of %d events: %v", h.transport, s.emitted, h.err)
			}
		case <-s.ctx.Done():
			s.Errorf("an honest client over %s waits after %d events", h.transport, s.emitted)
		}
	}
	s.mu.Lock()
	for _, t := range s.transports {
		t.CloseIdleConnections() // kept by the attackers for their next request, not by the daemon
	}
	s.mu.Unlock()
	now := s.reclaimed()
	peak := s.status("VmHWM")
	s.Logf("resident %d MiB, at most %d (may grow by %d), afterwards %d; live heap and stacks %.1f MiB, afterwards %.1f; goroutines %d, afterwards %d; %d events, %d visits",
		s.before.resident>>20, peak>>20, bound>>20, now.resident>>20, mib(s.before.live), mib(now.live),
		s.before.goroutines, now.goroutines, s.emitted, s.visits)
	if peak-s.before.resident > bound {
		s.Errorf("the daemon grew by %d MiB, want %d at most", (peak-s.before.resident)>>20, bound>>20)
	}
}

// Slack of what is to be as it was: goroutines and descriptors that come and go
// with scrapes and polls, and buffers that are kept for their next use.
const (
	goroutineSlack = 20
	liveSlack      = 16 << 20
)

// reclaimed waits until nothing of the attack is left.
func (s *siege) reclaimed() (now footprint) {
	s.Helper()
	limit := time.Now().Add(s.patience)
	for ; ; time.Sleep(200 * time.Millisecond) {
		now = s.footprint()
		var left []string
		if n := now.sessions; n != len(s.honest) {
			left = append(left, fmt.Sprintf("%d sessions, want %d", n, len(s.honest)))
		}
		if now.goroutines > s.before.goroutines+goroutineSlack {
			left = append(left, fmt.Sprintf("%d goroutines, were %d", now.goroutines, s.before.goroutines))
		}
		if now.live > s.before.live+liveSlack {
			left = append(left, fmt.Sprintf("%d MiB live, were %d", now.live>>20, s.before.live>>20))
		}
		if now.files > s.before.files+goroutineSlack {
			left = append(left, fmt.Sprintf("%d open files, were %d", now.files, s.before.files))
		}
		if len(left) == 0 {
			return now
		}
		if time.Now().After(limit) || s.ctx.Err() != nil {
			s.Errorf("left of the attack: %s", strings.Join(left, "; "))
			return now
		}
	}
}

// reclaimPatience is longer than everything that the settings above, and the
// daemon's own bounds, let a session linger for.
const reclaimPatience = 25 * time.Second

// footprint is what the daemon takes.
type footprint struct {
	resident   int64 // bytes; the runtime gives memory back when it pleases
	live       int64 // bytes of the heap after a collection, and of stacks
	goroutines int
	sessions   int
	files      int
}

func (s *siege) footprint() footprint {
	s.Helper()
	if res, err := http.Get("http://" + s.ops + "/debug/pprof/heap?gc=1"); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	m := s.metrics()
	return footprint{
		resident:   s.status("VmRSS"),
		live:       int64(m["go_memstats_heap_alloc_bytes"] + m["go_memstats_stack_inuse_bytes"]),
		goroutines: int(m["go_goroutines"]),
		sessions:   int(m[`fanoutd_sessions{transport="polling"}`] + m[`fanoutd_sessions{transport="websocket"}`]),
		files:      int(m["process_open_fds"]),
	}
}

func (s *siege) metrics() map[string]float64 {
	s.Helper()
	res, err := http.Get("http://" + s.ops + "/metrics")
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	m := map[string]float64{}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && name != "#" {
			m[name], _ = strconv.ParseFloat(value, 64)
		}
	}
	return m
}

// status is a figure of the kernel's about the daemon's memory.
func (s *siege) status(name string) int64 {
	s.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		s.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				s.Fatal(err)
			}
			return kib << 10
		}
	}
	s.Fatalf("the status of a process has no %s", name)
	return 0
}

func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skipf("memory is measured in /proc, which %s has not", runtime.GOOS)
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// honest is a client that keeps to the protocol, reads everything, and checks
// what it hears. Its goroutine owns all of it until done is closed.
type honest struct {
	id        string
	transport string
	next      func() ([]string, error) // packets, at least one
	pong      func() error
	leave     func()
	heard     int
	done      chan struct{}
	err       error
}

func (h *honest) listen() {
	defer close(h.done)
	for {
		packets, err := h.next()
		if err != nil {
			h.err = fmt.Errorf("after %d events: %w", h.heard, err)
			return
		}
		for _, p := range packets {
			switch p {
			case "2":
				err = h.pong()
			case `42["n",` + strconv.Itoa(h.heard) + `]`:
				h.heard++
			case `42["end"]`:
				h.next = h.drain(h.next)
				return
			default:
				err = fmt.Errorf("unexpected packet %.100q", p)
			}
			if err != nil {
				h.err = fmt.Errorf("after %d events: %w", h.heard, err)
				return
			}
		}
	}
}

// drain goes on answering pings after the end.
func (h *honest) drain(next func() ([]string, error)) func() ([]string, error) {
	go func() {
		for {
			packets, err := next()
			if err != nil {
				return
			}
			if slices.Contains(packets, "2") && h.pong() != nil {
				return
			}
		}
	}()
	return nil
}

// joined returns the id in the answer to a CONNECT.
func joined(packet string) (string, error) {
	_, rest, ok := strings.Cut(packet, `"sid":"`)
	if !strings.HasPrefix(packet, "40") || !ok {
		return "", fmt.Errorf("joining was answered %.100q", packet)
	}
	id, _, _ := strings.Cut(rest, `"`)
	return id, nil
}

// join reads the answer to a CONNECT; pings may come before it.
func (h *honest) join() error {
	for {
		packets, err := h.next()
		if err != nil {
			return err
		}
		for _, p := range packets {
			if p != "2" {
				h.id, err = joined(p)
				return err
			}
			if err := h.pong(); err != nil {
				return err
			}
		}
	}
}

// overWebSocket connects an honest client.
func (s *siege) overWebSocket() *honest {
	s.Helper()
	h := &honest{transport: "websocket", done: make(chan struct{})}
	w, err := s.webSocket("")
	if err != nil {
		s.Errorf("an honest client: %v", err)
		return &honest{leave: func() {}}
	}
	h.leave = func() { _ = w.Close() }
	h.pong = func() error { return w.say("3") }
	h.next = func() ([]string, error) {
		text, err := w.hear()
		return []string{text}, err
	}
	if err := w.say("40"); err != nil {
		s.Errorf("an honest client: %v", err)
	}
	if err := h.join(); err != nil {
		s.Errorf("an honest client over WebSocket: %v", err)
	}
	return h
}

// overPolling connects an honest client.
func (s *siege) overPolling() *honest {
	s.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	h := &honest{transport: "polling", done: make(chan struct{}), leave: cancel}
	p := &polling{ctx: ctx, client: &http.Client{Transport: &http.Transport{}}, address: s.listen}
	h.next = func() ([]string, error) {
		body, err := p.get()
		return strings.Split(body, "\x1e"), err
	}
	h.pong = func() error { return p.post("3") }
	err := p.open("")
	if err == nil {
		err = p.post("40")
	}
	if err == nil {
		err = h.join()
	}
	if err != nil {
		s.Fatalf("an honest client over polling: %v", err)
	}
	return h
}

// polling is a session over polling.
type polling struct {
	ctx     context.Context
	client  *http.Client
	address string
	header  http.Header
	sid     string
	old     bool // speaks Engine.IO v3
}

// errStatus is an answer other than 200.
type errStatus struct {
	status int
	body   string
}

func (e errStatus) Error() string { return fmt.Sprintf("%d %.100s", e.status, e.body) }

func (p *polling) do(method, query string, body io.Reader) (string, error) {
	r, err := http.NewRequestWithContext(p.ctx, method, "http://"+p.address+"/socket.io/?"+query, body)
	if err != nil {
		return "", err
	}
	for name, values := range p.header {
		r.Header[name] = values
	}
	res, err := p.client.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errStatus{res.StatusCode, string(text)}
	}
	return string(text), err
}

func (p *polling) open(query string) error {
	body, err := p.do("GET", "EIO=4&transport=polling"+query, nil)
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	p.sid, err = sessionID(body)
	return err
}

// sessionID is what an open packet tells.
func sessionID(packet string) (string, error) {
	rest, ok := strings.CutPrefix(packet, `0{"sid":"`)
	if !ok || len(rest) < 20 {
		return "", fmt.Errorf("opening was answered %.100q", packet)
	}
	return rest[:20], nil
}

func (p *polling) query() string {
	if p.old {
		return "EIO=3&transport=polling&sid=" + p.sid
	}
	return "EIO=4&transport=polling&sid=" + p.sid
}

func (p *polling) get() (string, error) { return p.do("GET", p.query(), nil) }

func (p *polling) post(payload string) error {
	_, err := p.do("POST", p.query(), strings.NewReader(payload))
	return err
}

// dial opens a connection on which the caller writes what it likes. It is reset
// when it is closed, so that thousands leave no ports behind.
func (s *siege) dial() (*net.TCPConn, error) { return s.dialBy(&net.Dialer{}) }

// dialSmall is dial for a connection that takes hardly anything which is not read.
// A buffer that shrinks later would make the kernel drop what it had room for.
func (s *siege) dialSmall() (*net.TCPConn, error) {
	return s.dialBy(&net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) }); e != nil {
			return e
		}
		return err
	}})
}

func (s *siege) dialBy(d *net.Dialer) (*net.TCPConn, error) {
	c, err := d.DialContext(s.ctx, "tcp", s.listen)
	if err != nil {
		return nil, err
	}
	if deadline, ok := s.ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	tcp := c.(*net.TCPConn)
	_ = tcp.SetLinger(0)
	return tcp, nil
}

// rawSocket is a WebSocket without manners: it sends whatever frames it is told.
type rawSocket struct {
	*net.TCPConn
	reader *bufio.Reader
}

// webSocket opens a session, or, with a sid in the query, a candidate.
func (s *siege) webSocket(query string, headers ...string) (*rawSocket, error) {
	c, err := s.dial()
	if err != nil {
		return nil, err
	}
	w := &rawSocket{c, bufio.NewReaderSize(c, 512)}
	if err := w.handshake(s.listen, query, headers); err != nil {
		_ = w.Close()
		return nil, err
	}
	if strings.Contains(query, "sid=") {
		return w, nil
	}
	open, err := w.hear()
	if err == nil {
		_, err = sessionID(open)
	}
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

func (w *rawSocket) handshake(host, query string, headers []string) error {
	version := "EIO=4&"
	if strings.Contains(query, "EIO=3") {
		version = ""
	}
	_, err := fmt.Fprintf(w, "GET /socket.io/?%stransport=websocket%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", version, query, host, strings.Join(headers, ""))
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(w.reader, nil)
	if err != nil {
		return fmt.Errorf("the handshake: %w", err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return errStatus{res.StatusCode, string(body)}
	}
	return nil
}

// First bytes of frames (RFC 6455, 5.2).
const (
	frameFinal    = 0x80
	frameRSV1     = 0x40
	frameRSV2     = 0x20
	frameMore     = 0x0 // continues a message
	frameText     = 0x1
	frameBinary   = 0x2
	frameClose    = 0x8
	framePing     = 0x9
	frameMasked   = 0x80 // of the second byte
	frameLength16 = 126
	frameLength64 = 127
)

// appendFrame appends a frame as a client sends it. Its mask is zero.
func appendFrame(b []byte, first byte, payload []byte) []byte {
	b = append(b, first)
	switch n := len(payload); {
	case n < frameLength16:
		b = append(b, frameMasked|byte(n))
	case n < 1<<16:
		b = encoding.BigEndian.AppendUint16(append(b, frameMasked|frameLength16), uint16(n))
	default:
		b = encoding.BigEndian.AppendUint64(append(b, frameMasked|frameLength64), uint64(n))
	}
	b = append(b, 0, 0, 0, 0)
	return append(b, payload...)
}

func text(s string) []byte { return appendFrame(nil, frameFinal|frameText, []byte(s)) }

func (w *rawSocket) say(s string) error {
	_, err := w.Write(text(s))
	return err
}

// frame reads one frame.
func (w *rawSocket) frame() (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(w.reader, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	if extra := map[uint64]int{frameLength16: 2, frameLength64: 8}[n]; extra > 0 {
		var b [8]byte
		if _, err := io.ReadFull(w.reader, b[8-extra:]); err != nil {
			return 0, nil, err
		}
		n = encoding.BigEndian.Uint64(b[:])
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(w.reader, payload)
	return head[0] & 0xf, payload, err
}

// errClosed is a close frame.
type errClosed struct {
	code   int
	reason string
}

func (e errClosed) Error() string { return fmt.Sprintf("closed with %d %q", e.code, e.reason) }

// hear reads the next text message.
func (w *rawSocket) hear() (string, error) {
	for {
		opcode, payload, err := w.frame()
		switch {
		case err != nil:
			return "", err
		case opcode == frameClose && len(payload) >= 2:
			return "", errClosed{int(encoding.BigEndian.Uint16(payload)), string(payload[2:])}
		case opcode == frameText:
			return string(payload), nil
		}
	}
}

// end reads until the connection ends and returns how: an errClosed if it was
// told. Pings are left unanswered.
func (w *rawSocket) end() error {
	for {
		if _, err := w.hear(); err != nil {
			return err
		}
	}
}

// join joins the default namespace.
func (w *rawSocket) join() error {
	if err := w.say("40"); err != nil {
		return err
	}
	answer, err := w.hear()
	if err == nil {
		_, err = joined(answer)
	}
	return err
}

// pour writes b again and again until limit bytes are written or the daemon
// takes no more, and returns how many it took.
func pour(c io.Writer, b []byte, limit int64) (sent int64, err error) {
	for sent < limit {
		n, err := c.Write(b)
		sent += int64(n)
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// swarm runs f for 0 to n-1, some at once, and returns the first error.
func swarm(n, atOnce int, f func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, atOnce)
	var workers sync.WaitGroup
	for w := range atOnce {
		workers.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[w] = f(i)
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

// closedWith reports whether err is a close with this reason.
func closedWith(err error, reason string) bool {
	var closed errClosed
	return errors.As(err, &closed) && closed.reason == reason
}

// repeat is bytes.Repeat up to about n bytes.
func repeat(b []byte, n int) []byte { return bytes.Repeat(b, max(1, n/len(b))) }
