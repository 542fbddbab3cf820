package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	tenYears = 10 * 365 * 24 * time.Hour
	// clockSettle passes after a clock was set: several pings, and longer than a node may be
	// silent before others suspect it.
	clockSettle = 5 * time.Second
	// clockPatience bounds these tests, the minute in which an expiry is noticed included.
	clockPatience = 5 * time.Minute
)

// TestFaultClock sets the wall clock of one node of two by an hour and by ten years, ahead
// and back: no session and no stream ends, nodes stay in touch, nothing is lost or comes
// twice; who was cut off comes back as who it was, and what was done under an idempotency
// key is not done again.
func TestFaultClock(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a daemon with a clock that can be set; run without -short")
	}
	t.Parallel() // it mostly waits
	path := faultyBinary(t)
	ctx, cancel := context.WithTimeout(t.Context(), clockPatience)
	defer cancel()
	listens := freeAddresses(t, 2)
	nodes := startNodesWith(ctx, t, path, listens, func(int) []string {
		return []string{
			"--cluster-peers=" + strings.Join(listens, ","), "--recovery-window=2m", "--ping-interval=1s", "--ping-timeout=5s",
			"--max-handshake-rate=1000", "--max-address-rate=1000", "--max-event-rate=1000",
		}
	})
	clients := startClockClients(ctx, t, nodes)
	near, far := holdEvent(ctx, t, nodes[0], "near"), holdEvent(ctx, t, nodes[1], "far")
	s := &siege{T: t, ctx: ctx, daemon: nodes[0].daemon}
	off := time.Duration(0)
	for i, jump := range []struct {
		name string
		to   time.Duration
	}{
		{"an hour ahead", time.Hour},
		{"an hour behind", -time.Hour},
		{"ten years ahead", tenYears},
		{"ten years behind", -tenYears},
		{"right again", 0},
	} {
		once := &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{"nobody"}}, Event: "once", IdempotencyKey: jump.name}
		if _, err := nodes[0].emitter.Emit(ctx, once); err != nil {
			t.Fatal(err)
		}
		w, was := s.joinRoom("cut off")
		_ = w.Close()
		sayUnread(s, near, far)
		setClock(ctx, t, nodes[0].daemon, off, jump.to)
		off = jump.to
		nodes[0].emitTo(ctx, t, "cut off", jump.name)
		time.Sleep(clockSettle) // with pings, and heartbeats of nodes

		if res, err := nodes[0].emitter.Emit(ctx, once); err != nil || !res.GetDuplicate() {
			t.Errorf("%s: what was done under a key is answered %v, %v, want a duplicate", jump.name, res, err)
		}
		s.comesBack(was, jump.name)
		for _, h := range []*heldEvent{near, far} {
			h.settle(t, jump.name)
		}
		for _, n := range nodes {
			n.meets(ctx, t, 2)
		}
		if oldest := metric(t, nodes[0].daemon, `fanoutd_group_oldest_pending_seconds{group="near"}`); oldest < 0 || oldest > clockPatience.Seconds() {
			t.Errorf("%s: the oldest event has waited for %v s", jump.name, oldest)
		}
		if i%3 == 0 { // the warnings are more than 10 s apart, by the monotonic clock
			s.speakUnknown()
			eventually(ctx, t, jump.name+": it is warned of", func() bool { return strings.Count(s.log.String(), "unknown parser") == i/3+1 })
		}
	}
	clients.finish(ctx, t)
	for _, n := range nodes {
		for _, name := range []string{"fanoutd_deliveries_repeated_total", "fanoutd_deliveries_dropped_total", "fanoutd_dead_letters_total"} {
			if v := metric(t, n.daemon, name); v != 0 {
				t.Errorf("%s: %s is %v", n.name, name, v)
			}
		}
	}
}

// clockClients are clients that may not notice anything, at two nodes, by WebSocket and by
// polling, and callers that send to them.
type clockClients struct {
	load
	polling []error // how each of those ended
}

func startClockClients(ctx context.Context, t *testing.T, nodes []*clusterNode) *clockClients {
	t.Helper()
	c := &clockClients{load: load{clients: make([]*rollingClient, 20), callers: make([]*rollingCaller, 2)}, polling: make([]error, 4)}
	all := &rolling{nodes: nodes}
	running, stop := context.WithCancel(ctx)
	emitting, halt := context.WithCancel(running)
	var coming sync.WaitGroup
	for i := range c.clients {
		c.clients[i] = &rollingClient{rolling: all, next: i, numbers: map[string][]int{}}
		coming.Go(func() { c.clients[i].run(running) })
	}
	for i := range c.polling {
		coming.Go(func() { c.polling[i] = pollOn(running, nodes[i%2].listen) })
	}
	c.halt, c.stop = halt, sync.OnceFunc(func() { stop(); coming.Wait(); c.calling.Wait() })
	t.Cleanup(c.stop)
	eventually(ctx, t, "everybody is connected", c.everybodyIn)
	for i := range c.callers {
		c.callers[i] = &rollingCaller{rolling: all, name: fmt.Sprint("c", i), next: i, pace: 100 * time.Millisecond}
		c.calling.Go(func() { c.callers[i].run(emitting, t) })
	}
	return c
}

// finish checks that nobody has noticed anything.
func (c *clockClients) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	if returns := c.load.finish(ctx, t); returns > 0 {
		t.Errorf("%d times a client was cut off", returns)
	}
	for i, err := range c.polling {
		if err != nil {
			t.Errorf("polling client %d: %v", i, err)
		}
	}
}

// pollOn polls, and answers pings, until ctx ends.
func pollOn(ctx context.Context, address string) error {
	p := &polling{ctx: ctx, client: &http.Client{Transport: &http.Transport{}}, address: address}
	defer p.client.CloseIdleConnections()
	err := p.open("")
	if err == nil {
		err = p.post("40")
	}
	for err == nil {
		var body string
		if body, err = p.get(); err == nil && slices.Contains(strings.Split(body, "\x1e"), "2") {
			err = p.post("3")
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// emitTo sends an event to a room.
func (n *clusterNode) emitTo(ctx context.Context, t *testing.T, room, event string) {
	t.Helper()
	if _, err := n.emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{room}}, Event: event}); err != nil {
		t.Fatal(err)
	}
}

// joinRoom connects a client, has it join a room and hear an event there.
func (s *siege) joinRoom(room string) (*rawSocket, cutOff) {
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
	emitter, registry := dialControl(s.T, s.control)
	me := &fanoutv1.Target{Ids: []string{c.id}}
	if _, err := registry.Join(s.ctx, &fanoutv1.JoinRequest{To: me, Rooms: []string{room}}); err != nil {
		s.Fatal(err)
	}
	if _, err := emitter.Emit(s.ctx, &fanoutv1.EmitRequest{To: me, Event: "joined"}); err != nil {
		s.Fatal(err)
	}
	event := w.hearEvent(s, "joined")
	c.offset = strings.TrimSuffix(event[strings.LastIndex(event, `,"`)+2:], `"]`)
	return w, c
}

// hearEvent hears the next event of this name.
func (w *rawSocket) hearEvent(s *siege, name string) string {
	s.Helper()
	for {
		packet, err := w.hear()
		switch {
		case err != nil:
			s.Fatalf("waiting for %q: %v", name, err)
		case packet == "2":
			_ = w.say("3") // an error is told by what follows
		case strings.HasPrefix(packet, fmt.Sprintf("42[%q", name)):
			return packet
		}
	}
}

// comesBack has a client come back that was cut off, as who it was, and hear what it missed.
func (s *siege) comesBack(was cutOff, missed string) {
	s.Helper()
	w, err := s.webSocket("")
	if err == nil {
		err = w.say(fmt.Sprintf(`40{"pid":%q,"offset":%q}`, was.pid, was.offset))
	}
	if err != nil {
		s.Fatal(err)
	}
	defer w.Close()
	w.hearEvent(s, missed) // which comes first, as from the reference
	for {
		answer, err := w.hear()
		if err != nil {
			s.Fatal(err)
		}
		if strings.HasPrefix(answer, "40") {
			if id := field(answer, `"sid":"`); id != was.id {
				s.Errorf("%s: it comes back as %s, and was %s", missed, id, was.id)
			}
			return
		}
	}
}

// speakUnknown has a client of an unknown parser refused.
func (s *siege) speakUnknown() {
	s.Helper()
	w, err := s.webSocket("")
	if err == nil {
		err = w.say(`4{"type":0}`)
	}
	if err != nil {
		s.Fatal(err)
	}
	defer w.Close()
	if err := w.end(); !closedWith(err, "unknown parser") {
		s.Errorf("it ended with %v", err)
	}
}

// heldEvent is a consumer that settles what it has when it is told to.
type heldEvent struct {
	group string
	sent  func(*fanoutv1.ConsumeRequest) error
	came  chan *fanoutv1.ConsumeResponse
}

// holdEvent joins a group of its own at a node.
func holdEvent(ctx context.Context, t *testing.T, n *clusterNode, group string) *heldEvent {
	t.Helper()
	stream, err := fanoutv1.NewEventServiceClient(connectTo(t, n.control)).Consume(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h := &heldEvent{group: group, sent: stream.Send, came: make(chan *fanoutv1.ConsumeResponse, 100)}
	err = stream.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{Open: &fanoutv1.ConsumeRequest_Open{
		Group: group, ConsumerId: "k", Events: []string{"hold"}, AckWait: durationpb.New(time.Minute),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetReady() == nil {
		t.Fatalf("joining was answered %v, %v", m, err)
	}
	var receiving sync.WaitGroup
	receiving.Go(func() {
		defer close(h.came)
		for {
			m, err := stream.Recv()
			if err != nil {
				if !errors.Is(err, io.EOF) && ctx.Err() == nil {
					t.Errorf("the stream of %s ended: %v", group, err)
				}
				return
			}
			if m.GetHeartbeat() == nil {
				h.came <- m
			}
		}
	})
	t.Cleanup(receiving.Wait)
	return h
}

// sayUnread has a browser send an event to both, which they have and do not settle.
func sayUnread(s *siege, near, far *heldEvent) {
	s.Helper()
	w, err := s.webSocket("")
	if err == nil {
		err = w.join()
	}
	if err == nil {
		err = w.say(`42["hold"]`)
	}
	if err != nil {
		s.Fatal(err)
	}
	defer w.Close()
	for _, h := range []*heldEvent{near, far} {
		eventually(s.ctx, s.T, h.group+" has the event", func() bool { return len(h.came) == 1 })
	}
}

// settle settles the event, which has to be the one thing that came.
func (h *heldEvent) settle(t *testing.T, when string) {
	t.Helper()
	m := <-h.came
	e := m.GetEvents().GetEvents()
	if len(e) != 1 || e[0].GetAttempt() != 1 || len(h.came) > 0 {
		t.Fatalf("%s: %s was sent %v, and %d messages more, want one event once", when, h.group, m, len(h.came))
	}
	err := h.sent(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Ack_{Ack: &fanoutv1.ConsumeRequest_Ack{DeliveryIds: []string{e[0].GetDeliveryId()}}}})
	if err != nil {
		t.Fatalf("%s: settling: %v", when, err)
	}
}
