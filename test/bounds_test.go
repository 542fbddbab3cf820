package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// TestBounds exceeds each bound of the table in docs/operating.md, one case a row:
// what is promised beyond it happens, and the daemon grows by no more than the bound
// and boundsSlack.
func TestBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a daemon for each bound; run without -short")
	}
	needLinux(t)
	path, err := filepath.Abs(binary(t.Context(), t))
	if err != nil {
		t.Fatal(err)
	}
	for _, bound := range []struct {
		name  string
		flags []string
		bytes int64 // what may be held at the bound
		run   func(s *siege)
	}{
		{"max-queue", []string{"--max-queue=65536"}, 64 << 10, exceedQueue},
		{"volatile, drop-newest", []string{"--max-queue=1048576"}, 1 << 20, func(s *siege) { exceedVolatile(s, 1<<20/16) }},
		{"volatile, drop-oldest", []string{"--max-queue=1048576", "--volatile=drop-oldest"}, 1 << 20, func(s *siege) { exceedVolatile(s, 1<<20/16) }},
		{"max-payload", []string{"--max-payload=10000"}, 10_000, exceedPayload},
		{"max-event-rate", []string{"--max-event-rate=50"}, maxPayload, exceedEventRate},
		{"max-sessions", []string{"--max-sessions=5"}, 5 * halfOpen, func(s *siege) { exceedSessions(s, http.StatusServiceUnavailable) }},
		{"max-pending", []string{"--max-pending=5"}, 5 * halfOpen, exceedPending},
		{"max-address-pending", []string{"--max-address-pending=5", "--trusted-proxies=127.0.0.1"}, 5 * halfOpen, func(s *siege) { exceedSessions(s, http.StatusTooManyRequests) }},
		{"max-address-sessions", []string{"--max-address-sessions=5", "--trusted-proxies=127.0.0.1"}, 5 * halfOpen, func(s *siege) { exceedSessions(s, http.StatusTooManyRequests) }},
		// Five seconds' worth may come at once.
		{"max-address-rate", []string{"--max-address-rate=1", "--trusted-proxies=127.0.0.1"}, 5 * halfOpen, func(s *siege) { exceedSessions(s, http.StatusTooManyRequests) }},
		{"max-handshake-rate", []string{"--max-handshake-rate=1", "--start-ramp=0"}, 5 * halfOpen, func(s *siege) { exceedHandshakeRate(s, 1) }},
		{"namespaces of a session", []string{"--namespaces=/t-*"}, 0, func(s *siege) { exceedNamespaces(s, 100) }},
		{"max-namespaces", []string{"--namespaces=/t-*", "--max-namespaces=7", "--connect-timeout=3s"}, 0, func(s *siege) { exceedNamespaces(s, 7) }},
		{"max-rooms", []string{"--max-rooms=500"}, 1 << 20, func(s *siege) { exceedRooms(s, 500) }},
		{"names", []string{"--namespaces=/,/t-*"}, 0, exceedNames},
		{"groups", nil, 0, func(s *siege) { exceedGroups(s, 100) }},
		{"recovery-bytes", []string{"--recovery-window=1m", "--recovery-bytes=1048576"}, 1 << 20, exceedRecovery},
		{"control-max-request", []string{"--control-max-request=1048576"}, 1 << 20, func(s *siege) { exceedControlRequest(s, 1<<20) }},
		{"control-max-request by default", nil, 2 * 16 << 20, func(s *siege) { exceedControlRequest(s, 16<<20) }},
		{"control-max-connections", []string{"--control-max-connections=5"}, 0, func(s *siege) { exceedControlConnections(s, 5) }},
		{"control-max-streams", []string{"--control-max-streams=5"}, 0, func(s *siege) { exceedControlStreams(s, 5) }},
		{"unsettled events of a connection", nil, 256 << 10, exceedUnsettled},
	} {
		t.Run(bound.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), siegePatience)
			t.Cleanup(cancel)
			s := &siege{T: t, ctx: ctx, daemon: runDaemon(ctx, t, path, append([]string{"--ping-interval=1h"}, bound.flags...)...)}
			before := s.status("VmRSS")
			bound.run(s)
			grown := s.status("VmHWM") - before
			t.Logf("the daemon grew by %.1f MiB at most", mib(grown))
			if most := bound.bytes + boundsSlack; grown > most {
				t.Errorf("the daemon grew by %.1f MiB, want at most %.1f", mib(grown), mib(most))
			}
		})
	}
}

// boundsSlack is what the daemon may grow by beside what a bound is about: code that
// runs for the first time, buffers and garbage.
const boundsSlack = 32 << 20

const (
	boundsPad    = 16 << 10        // bytes of an event
	boundsEvents = 128 << 20 >> 14 // more than connections take that nobody reads
)

// member is a WebSocket in the default namespace, its id known.
func (s *siege) member() (*rawSocket, string) {
	s.Helper()
	w, err := s.webSocket("")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = w.Close() })
	if err := w.say("40"); err != nil {
		s.Fatal(err)
	}
	answer, err := w.hear()
	if err != nil {
		s.Fatal(err)
	}
	id, err := joined(answer)
	if err != nil {
		s.Fatal(err)
	}
	return w, id
}

// emitUntil sends large events to everybody until it is done.
func (s *siege) emitUntil(volatile bool, done func() bool) {
	s.Helper()
	emitter, _ := dialControl(s.T, s.control)
	args := fmt.Sprintf("[%q]", strings.Repeat("x", boundsPad))
	for i := range boundsEvents {
		_, err := emitter.Emit(s.ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e", ArgsJson: args, Volatile: volatile})
		if err != nil {
			s.Fatal(err)
		}
		if i%64 == 63 && done() {
			return
		}
	}
	s.Errorf("%d events did not exceed it", boundsEvents)
}

func exceedQueue(s *siege) {
	ends := tailEnds(s.ctx, s.T, s.daemon)
	s.member()
	s.emitUntil(false, func() bool { return metric(s.T, s.daemon, "fanoutd_sessions_slow_total") == 1 })
	select {
	case end := <-ends:
		if end.GetReason() != "slow consumer" {
			s.Errorf("closed with %q", end.GetReason())
		}
	case <-s.ctx.Done():
		s.Error("nobody was told of the end")
	}
}

// exceedVolatile has events dropped, and no more of them wait than may, beside one.
func exceedVolatile(s *siege, most uint32) {
	_, id := s.member()
	_, registry := dialControl(s.T, s.control)
	s.emitUntil(true, func() bool { return metric(s.T, s.daemon, "fanoutd_volatile_dropped_total") > 0 })
	res, err := registry.ListConnections(s.ctx, &fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{Ids: []string{id}}})
	if err != nil || len(res.GetConnections()) != 1 {
		s.Fatalf("ListConnections: %v, %v, want the one connection", res, err)
	}
	if c := res.GetConnections()[0]; c.GetVolatileDropped() == 0 || c.GetQueuedBytes() > most+boundsPad+1024 {
		s.Errorf("%d events were dropped and %d bytes wait, want some, and at most %d and one event", c.GetVolatileDropped(), c.GetQueuedBytes(), most)
	}
	if n := metric(s.T, s.daemon, "fanoutd_sessions_slow_total"); n != 0 {
		s.Errorf("%v sessions were closed for it", n)
	}
}

func exceedPayload(s *siege) {
	w, _ := s.member()
	if _, err := w.Write(text("42" + strings.Repeat("x", 9999))); err != nil {
		s.Fatal(err)
	}
	var closed errClosed
	if err := w.end(); !errors.As(err, &closed) || closed.code != 1009 {
		s.Errorf("a message ended with %v, want 1009", err)
	}
	p := s.polling()
	if err := p.open(""); err != nil {
		s.Fatal(err)
	}
	wantStatus(s, p.post("4"+strings.Repeat("x", 10_000)), http.StatusRequestEntityTooLarge)
}

// exceedEventRate sends two seconds' worth of events in one POST: all come, the second
// half later than the first.
func exceedEventRate(s *siege) {
	const perSecond = 50
	began := time.Now()
	p := s.polling()
	if err := p.open(""); err != nil {
		s.Fatal(err)
	}
	packets := []string{"40"}
	for i := range 2*perSecond - 1 {
		packets = append(packets, fmt.Sprintf(`42["n",%d]`, i))
	}
	if err := p.post(strings.Join(packets, "\x1e")); err != nil {
		s.Fatal(err)
	}
	if took := time.Since(began); took < time.Second {
		s.Errorf("two seconds' worth were taken in %v", took)
	}
	if n := metric(s.T, s.daemon, "fanoutd_events_received_total"); n != 2*perSecond-1 {
		s.Errorf("%v events were received, want %d", n, 2*perSecond-1)
	}
	if n := metric(s.T, s.daemon, "fanoutd_events_delayed_total"); n < 1 || n > perSecond+1 {
		s.Errorf("%v packets were delayed, want some, and at most %d", n, perSecond+1)
	}
}

func wantStatus(s *siege, err error, want int) {
	s.Helper()
	var refused errStatus
	if !errors.As(err, &refused) || refused.status != want {
		s.Errorf("answered %v, want %d", err, want)
	}
}

// exceedSessions opens five sessions, and two that are refused.
func exceedSessions(s *siege, status int) {
	client := s.polling().client
	for i := range 7 {
		p := &polling{ctx: s.ctx, client: client, address: s.listen, header: http.Header{"X-Forwarded-For": {"203.0.113.9"}}}
		err := p.open("")
		if i < 5 && err != nil {
			s.Errorf("session %d: %v", i, err)
		} else if i >= 5 {
			wantStatus(s, err, status)
		}
	}
}

// exceedHandshakeRate opens sessions until five were refused, and some were let in.
func exceedHandshakeRate(s *siege, perSecond float64) {
	client, began := s.polling().client, time.Now()
	var in, refused float64
	for in < 3 || refused < 5 {
		p := &polling{ctx: s.ctx, client: client, address: s.listen}
		if err := p.open(""); err == nil {
			in++
		} else {
			wantStatus(s, err, http.StatusServiceUnavailable)
			refused++
		}
		if s.Failed() {
			return
		}
	}
	if most := perSecond * (1 + time.Since(began).Seconds()); in > most {
		s.Errorf("%v sessions were let in, want %v at most", in, most)
	}
	if n := metric(s.T, s.daemon, `fanoutd_refused_total{reason="max-handshake-rate"}`); n != refused {
		s.Errorf("%v refusals were counted, want %v", n, refused)
	}
}

// exceedPending opens one session more than may be pending: the first is closed.
func exceedPending(s *siege) {
	var all []*rawSocket
	for range 6 {
		w, err := s.webSocket("")
		if err != nil {
			s.Fatal(err)
		}
		defer w.Close()
		all = append(all, w)
	}
	if err := all[0].end(); !closedWith(err, "too many pending sessions") {
		s.Errorf("the oldest ended with %v", err)
	}
	for i, w := range all[1:] {
		if err := w.join(); err != nil {
			s.Errorf("session %d does not live on: %v", i+1, err)
		}
	}
}

// exceedNamespaces joins so many, and one more, which is refused: at once where
// that is final, else when the time to connect is over.
func exceedNamespaces(s *siege, most int) {
	w, err := s.webSocket("")
	if err != nil {
		s.Fatal(err)
	}
	defer w.Close()
	for i := range most + 1 {
		if err := w.say(fmt.Sprintf("40/t-%d,", i)); err != nil {
			s.Fatal(err)
		}
	}
	if accepted, refused, err := w.answers(most + 1); accepted != most || refused != 1 || err != nil {
		s.Errorf("%d were accepted and %d refused, want %d and 1: %v", accepted, refused, most, err)
	}
}

// exceedRecovery cuts two clients off, one of them before more is kept than may be:
// it comes back as somebody new, the other as who it was.
func exceedRecovery(s *siege) {
	emitter, _ := dialControl(s.T, s.control)
	emit := func() {
		args := fmt.Sprintf("[%q]", strings.Repeat("x", boundsPad))
		if _, err := emitter.Emit(s.ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "e", ArgsJson: args}); err != nil {
			s.Fatal(err)
		}
	}
	emit()
	forgotten := s.cutOff(emit)
	for range 2_000_000 / boundsPad {
		emit()
	}
	kept := s.cutOff(emit)
	emit()
	for _, c := range []struct {
		name    string
		was     cutOff
		comeOut bool
	}{{"the oldest", forgotten, false}, {"the latest", kept, true}} {
		w, err := s.webSocket("")
		if err != nil {
			s.Fatal(err)
		}
		defer w.Close()
		if err := w.say(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, c.was.pid, c.was.offset)); err != nil {
			s.Fatal(err)
		}
		answer, err := w.hear()
		for err == nil && strings.HasPrefix(answer, "42") { // what it missed comes first, as from the reference
			answer, err = w.hear()
		}
		if err != nil {
			s.Fatal(err)
		}
		if id, err := joined(answer); err != nil || (id == c.was.id) != c.comeOut {
			s.Errorf("%s was %s and is %s: want the same %v, %v", c.name, c.was.id, id, c.comeOut, err)
		}
	}
}

// cutOff is what a client knows when it has been cut off.
type cutOff struct{ id, pid, offset string }

// cutOff has a client hear an event and lose its connection.
func (s *siege) cutOff(emit func()) cutOff {
	s.Helper()
	w, err := s.webSocket("")
	if err == nil {
		err = w.say("40")
	}
	if err != nil {
		s.Fatal(err)
	}
	answer, err := w.hear()
	if err != nil {
		s.Fatal(err)
	}
	c := cutOff{id: field(answer, `"sid":"`), pid: field(answer, `"pid":"`)}
	emit()
	event, err := w.hear()
	if err != nil {
		s.Fatal(err)
	}
	c.offset = strings.TrimSuffix(event[strings.LastIndex(event, `,"`)+2:], `"]`)
	if c.id == "" || c.pid == "" || len(c.offset) > 100 {
		s.Fatalf("joining was answered %.200q, and the event is %.20q...", answer, event)
	}
	_ = w.Close()
	eventually(s.ctx, s.T, "the daemon has seen it go", func() bool { return metric(s.T, s.daemon, "fanoutd_connections") == 0 })
	return c
}

// field is the text after name, up to a quote.
func field(packet, name string) string {
	_, rest, _ := strings.Cut(packet, name)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// exceedUnsettled has a consumer that takes events and settles none: the browser that
// sends them is read no further, and closed in the end.
func exceedUnsettled(s *siege) {
	conn := connectTo(s.T, s.control)
	stream, err := fanoutv1.NewEventServiceClient(conn).Consume(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	err = stream.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{
		Open: &fanoutv1.ConsumeRequest_Open{Group: "g", MaxInFlight: 10_000},
	}})
	if err != nil {
		s.Fatal(err)
	}
	if res, err := stream.Recv(); err != nil || res.GetReady() == nil {
		s.Fatalf("joining: %v, %v", res, err)
	}
	go func() { // until the test ends
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	w, _ := s.member()
	go func() { _, _ = pour(w, repeat(text(`42["x","`+strings.Repeat("y", 1000)+`"]`), 64<<10), enough) }()
	ended := make(chan error, 1)
	go func() { ended <- w.end() }()
	admin, most := fanoutv1.NewAdminServiceClient(conn), uint32(0)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		g := group(s.ctx, s.T, admin)
		held := g.GetOrphanedBytes()
		for _, c := range g.GetConsumers() {
			held += c.GetQueuedBytes()
		}
		most = max(most, held)
		select {
		case err := <-ended:
			if !closedWith(err, "backend stalled") && !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
				s.Errorf("ended with %v", err)
			}
			if n := metric(s.T, s.daemon, "fanoutd_sessions_stalled_total"); n != 1 {
				s.Errorf("%v sessions were closed because backends do not keep up, want 1", n)
			}
			if most < 200<<10 || most > 256<<10+2048 {
				s.Errorf("at most %d bytes waited, want 256 KiB and one event at most", most)
			}
			return
		case <-tick.C:
		}
	}
}
