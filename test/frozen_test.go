package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	frozenCrowd = 5000 // those that read
	// frozenQueue is the daemon's max-queue here: little, so that it is exceeded
	// without sending gigabytes to the crowd.
	frozenQueue = 64 << 10 // bytes
	// frozenPad makes the events that exceed it; eight of them, which is how far
	// the crowd may be behind, do not.
	frozenPad = 4 << 10 // bytes
	// frozenFill makes those that fill what a connection takes, which on
	// loopback is some MiB.
	frozenFill = 32 << 10 // bytes
	// frozenPaced is how many events a round measures, each sent when everybody
	// has the one before.
	frozenPaced = 20
	// frozenBurst bounds the events that are to exceed the queue.
	frozenBurst = 3 * frozenQueue / frozenPad
	// frozenGrowth is what the daemon may grow by in a round besides the frozen
	// clients' queues: a burst on its way to the crowd, and garbage.
	frozenGrowth = 64 << 20 // bytes
)

// frozenRounds tells how many clients are frozen in each round. Rounds with and
// without take turns, so that a noisy machine is noisy for both.
var frozenRounds = []int{0, 1, 0, 20, 0, 1}

// TestFrozen has 5,000 clients in a room, and some more of which nobody reads
// the socket. The others get every event once and in order, and do not wait for
// them; these are closed as slow consumers when their queue is full, and
// everybody is told. It logs how long deliveries to the others took with and
// without.
func TestFrozen(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections; run without -short")
	}
	needFiles(t, frozenCrowd+500)
	ctx, cancel := context.WithTimeout(t.Context(), swarmPatience)
	defer cancel()
	// A heartbeat would end the frozen ones, too, and disturb the measurement.
	d := startDaemon(ctx, t, "--ping-interval=1h", "--max-queue="+strconv.Itoa(frozenQueue))
	f := &frozenTest{t: t, ctx: ctx, d: d, gone: tailEnds(ctx, t, d)}
	f.emitter, f.registry = dialControl(t, d.control)
	f.crowd = gather(ctx, t, d.listen)
	f.join(&fanoutv1.Target{All: true}, frozenCrowd)
	f.paced(5) // what is slow only at first

	closed := 0
	latencies := map[bool][]time.Duration{} // by whether clients were frozen
	for round, frozen := range frozenRounds {
		before := residentBytes(t, d)
		clients := f.freeze(frozen)
		took := f.paced(frozenPaced)
		if n := f.closedForIt(); n != closed {
			t.Fatalf("round %d: %d clients were closed before the others had everything, want none", round, n-closed)
		}
		closed += frozen
		ends := f.thawEnded(clients)
		most := f.burst(closed)
		f.checkEnds(clients, ends)
		// What waits for one may wait once more in the call that is writing.
		if grown, most := most-before, int64(frozen*2*frozenQueue+frozenGrowth); grown > most {
			t.Errorf("round %d: the daemon grew by %d KiB with %d clients frozen, want at most %d", round, grown>>10, frozen, most>>10)
		}
		slices.Sort(took)
		t.Logf("round %d, %2d frozen: p50 %v, p99 %v, last %v; the daemon grew by %d KiB", round, frozen,
			quantile(took, 0.5), quantile(took, 0.99), took[len(took)-1], (most-before)>>10)
		latencies[frozen > 0] = append(latencies[frozen > 0], took...)
	}
	for _, frozen := range []bool{false, true} {
		all := latencies[frozen]
		slices.Sort(all)
		t.Logf("all rounds with frozen clients: %-5v p50 %v, p99 %v (of %d deliveries)", frozen, quantile(all, 0.5), quantile(all, 0.99), len(all))
	}
	f.crowd.check(t)
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1))].Round(10 * time.Microsecond)
}

// frozenTest is the test under way.
type frozenTest struct {
	t        *testing.T
	ctx      context.Context //nolint:containedctx // it is the test's, as t is
	d        daemon
	emitter  fanoutv1.EmitterServiceClient
	registry fanoutv1.RegistryServiceClient
	crowd    *crowd
	gone     <-chan *fanoutv1.Event
	sent     int // events to the room
}

func (f *frozenTest) join(to *fanoutv1.Target, want uint32) {
	f.t.Helper()
	res, err := f.registry.Join(f.ctx, &fanoutv1.JoinRequest{To: to, Rooms: []string{"room"}})
	if err != nil || res.GetAffected() != want {
		f.t.Fatalf("Join: %v, %v, want %d affected", res, err, want)
	}
}

// emit sends the next event to the room.
func (f *frozenTest) emit(pad int) {
	f.t.Helper()
	f.crowd.sent[f.sent].Store(time.Now().UnixNano())
	if _, err := f.emitter.Emit(f.ctx, &fanoutv1.EmitRequest{
		To: &fanoutv1.Target{Rooms: []string{"room"}}, Event: "n", ArgsJson: fmt.Sprintf(`[%d,"%s"]`, f.sent, strings.Repeat("x", pad)),
	}); err != nil {
		f.t.Fatalf("Emit %d: %v", f.sent, err)
	}
	f.sent++
}

// await returns when the whole crowd has every event.
func (f *frozenTest) await() {
	f.t.Helper()
	select {
	case <-f.crowd.arrived[f.sent-1]:
	case <-f.ctx.Done():
		f.crowd.check(f.t)
		f.t.Fatalf("%d of %d clients have event %d: %v", f.crowd.heard[f.sent-1].Load(), frozenCrowd, f.sent-1, context.Cause(f.ctx))
	}
}

// paced sends n events, each when the crowd has the one before, and returns how
// long each delivery took.
func (f *frozenTest) paced(n int) []time.Duration {
	f.t.Helper()
	var all []time.Duration
	for range n {
		f.emit(100)
		f.await()
		for _, us := range f.crowd.took[f.sent-1] {
			all = append(all, time.Duration(us)*time.Microsecond)
		}
	}
	return all
}

// freeze returns n clients in the room that nobody reads the sockets of, and
// whose connections take nothing any more: from now on their queues grow.
func (f *frozenTest) freeze(n int) []*frozenClient {
	f.t.Helper()
	clients := make([]*frozenClient, n)
	ids := make([]string, n)
	for i := range clients {
		clients[i] = dialFrozen(f.ctx, f.t, f.d.listen)
		clients[i].first = f.sent
		ids[i] = clients[i].id
	}
	if n == 0 {
		return nil
	}
	f.join(&fanoutv1.Target{Ids: ids}, uint32(n))
	for _, c := range clients {
		for !f.stuck(c) {
			if _, err := f.emitter.Emit(f.ctx, &fanoutv1.EmitRequest{
				To: &fanoutv1.Target{Ids: []string{c.id}}, Event: "fill", ArgsJson: `["` + strings.Repeat("x", frozenFill) + `"]`,
			}); err != nil {
				f.t.Fatalf("Emit: %v", err)
			}
			c.fills++
		}
	}
	return clients
}

// stuck reports whether something waits for c and goes on waiting.
func (f *frozenTest) stuck(c *frozenClient) bool {
	f.t.Helper()
	for range 20 {
		res, err := f.registry.GetConnection(f.ctx, &fanoutv1.GetConnectionRequest{Id: c.id})
		if err != nil {
			f.t.Fatalf("GetConnection: %v", err)
		}
		if res.GetConnection().GetQueuedBytes() == 0 {
			return false
		}
		time.Sleep(time.Millisecond) // a queue that is about to be taken is no longer there soon
	}
	return true
}

// burst sends large events until so many clients were closed as too slow, and
// returns the most memory that the daemon had meanwhile. The crowd is waited
// for now and then: it is not to be closed for the test's haste.
func (f *frozenTest) burst(closed int) (most int64) {
	f.t.Helper()
	for n := range frozenBurst {
		f.emit(frozenPad)
		if n%8 != 7 {
			continue
		}
		f.await()
		most = max(most, residentBytes(f.t, f.d))
		if n >= frozenBurst/2 && f.closedForIt() == closed {
			return most
		}
	}
	f.t.Fatalf("%d clients were closed as too slow, want %d", f.closedForIt(), closed)
	return 0
}

func (f *frozenTest) closedForIt() int {
	f.t.Helper()
	return int(metric(f.t, f.d, "fanoutd_sessions_slow_total"))
}

// frozenEnd is how a frozen client ended.
type frozenEnd struct {
	client *frozenClient
	reason string // that backends were told
	thawed error  // how its connection ended, nil if it was not read
}

// thawEnded has every second of the clients read on as soon as backends are told
// that it was closed; the others stay frozen. It returns how each of them ended.
func (f *frozenTest) thawEnded(clients []*frozenClient) <-chan frozenEnd {
	all := map[string]*frozenClient{}
	thaws := map[string]bool{}
	for i, c := range clients {
		all[c.id], thaws[c.id] = c, i%2 == 0
	}
	ends := make(chan frozenEnd, len(clients))
	go func() {
		for range clients {
			var e *fanoutv1.Event
			select {
			case e = <-f.gone:
			case <-f.ctx.Done():
				return
			}
			end := frozenEnd{client: all[e.GetConnectionId()], reason: e.GetReason()}
			if !thaws[e.GetConnectionId()] {
				ends <- end
				continue
			}
			go func() {
				end.thawed = end.client.thaw()
				ends <- end
			}()
		}
	}()
	return ends
}

// checkEnds checks that backends have heard why the clients were closed, that
// what had reached them until then is whole and in order, and that they are gone.
func (f *frozenTest) checkEnds(clients []*frozenClient, ends <-chan frozenEnd) {
	f.t.Helper()
	told := 0
	for n := range clients {
		var end frozenEnd
		select {
		case end = <-ends:
		case <-f.ctx.Done():
			f.t.Fatalf("%d of %d ends were told", n, len(clients))
		}
		if end.client == nil {
			f.t.Fatalf("a client that was not frozen ended with %q", end.reason)
		}
		i := slices.Index(clients, end.client)
		if end.reason != "slow consumer" {
			f.t.Errorf("frozen client %d: backends were told %q, want %q", i, end.reason, "slow consumer")
		}
		var closed *websocket.CloseError
		switch err := end.thawed; {
		case err == nil: // stays frozen: it is cut
		case errors.As(err, &closed) && closed.Code == websocket.ClosePolicyViolation && closed.Text == "slow consumer":
			told++
		case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure: // which says that there was no close frame
			f.t.Errorf("frozen client %d, after it read on: closed with %v", i, err)
		case errors.Is(err, errUnexpected):
			f.t.Errorf("frozen client %d, after it read on: %v", i, err)
		default: // cut, for it had not read on in time
		}
	}
	if len(clients) > 0 && told == 0 {
		f.t.Error("no frozen client that read on was told why it was closed")
	}
	eventually(f.ctx, f.t, "the frozen clients are gone", func() bool {
		return metric(f.t, f.d, `fanoutd_sessions{transport="websocket"}`) == frozenCrowd
	})
	for _, c := range clients {
		_ = c.conn.Close()
	}
}

// frozenClient is a client in the default namespace that does not read.
type frozenClient struct {
	id    string
	conn  *websocket.Conn
	fills int // events to it alone
	first int // the number of the first event to the room that is for it
}

// dialFrozen joins as a client whose system takes little off the wire.
func dialFrozen(ctx context.Context, t *testing.T, address string) *frozenClient {
	t.Helper()
	tcp := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if failed := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		}); failed != nil {
			return failed
		}
		return err
	}}
	dialer := websocket.Dialer{NetDialContext: tcp.DialContext}
	conn, res, err := dialer.DialContext(ctx, "ws://"+address+"/socket.io/?EIO=4&transport=websocket", http.Header{})
	if err != nil {
		t.Fatalf("dialing: %v", err)
	}
	_ = res.Body.Close() // the dialer has left nothing in it
	t.Cleanup(func() { _ = conn.Close() })
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetReadDeadline(deadline)
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		t.Fatalf("joining: %v", err)
	}
	var joined struct{ SID string }
	for _, want := range []string{"0", "40"} {
		_, reply, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("joining: %v", err)
		}
		body, ok := strings.CutPrefix(string(reply), want)
		if !ok || json.Unmarshal([]byte(body), &joined) != nil {
			t.Fatalf("joining was answered %q", reply)
		}
	}
	return &frozenClient{id: joined.SID, conn: conn}
}

var errUnexpected = errors.New("unexpected packet")

// thaw reads everything and returns how the connection ends: what came first
// was for c alone, then came the room's events, each once.
func (c *frozenClient) thaw() error {
	fills, next := 0, c.first
	for {
		_, packet, err := c.conn.ReadMessage()
		if err != nil {
			return err
		}
		switch s := string(packet); {
		case strings.HasPrefix(s, `42["fill",`) && fills < c.fills:
			fills++
		case strings.HasPrefix(s, `42["n",`+strconv.Itoa(next)+`,`) && fills == c.fills:
			next++
		default:
			return fmt.Errorf("%w after %d of %d own events and those of the room up to %d: %.40q", errUnexpected, fills, c.fills, next, packet)
		}
	}
}

// crowd are the clients that read. Each has a goroutine, which owns the client.
type crowd struct {
	clients []*swarmClient
	// By the number of an event:
	sent    []atomic.Int64  // when, in Unix nanoseconds
	took    [][]int32       // by client: how long until it was read, in microseconds
	heard   []atomic.Int32  // clients that have it
	arrived []chan struct{} // closed when all have
}

// gather connects the crowd until the test ends.
func gather(ctx context.Context, t *testing.T, address string) *crowd {
	t.Helper()
	events := 5 + len(frozenRounds)*(frozenPaced+frozenBurst)
	c := &crowd{
		clients: make([]*swarmClient, frozenCrowd),
		sent:    make([]atomic.Int64, events), took: make([][]int32, events),
		heard: make([]atomic.Int32, events), arrived: make([]chan struct{}, events),
	}
	for i := range events {
		c.took[i], c.arrived[i] = make([]int32, frozenCrowd), make(chan struct{})
	}
	dialer := &websocket.Dialer{
		HandshakeTimeout: swarmPatience, ReadBufferSize: 4 << 10, WriteBufferSize: 256, WriteBufferPool: &sync.Pool{},
	}
	var dials, readers sync.WaitGroup
	t.Cleanup(func() {
		for _, one := range c.clients {
			if one != nil {
				_ = one.conn.Close()
			}
		}
		readers.Wait()
	})
	for worker := range swarmDials {
		dials.Go(func() {
			for i := worker; i < frozenCrowd; i += swarmDials {
				one, err := joinSwarm(ctx, dialer, address)
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				c.clients[i] = one
				readers.Go(func() { c.listen(i) })
			}
		})
	}
	dials.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return c
}

// listen reads client i's events, which come one after the other from 0.
func (c *crowd) listen(i int) {
	one := c.clients[i]
	defer close(one.done)
	head := make([]byte, len(`42["n",1234,"`))
	for next := 0; ; next++ {
		// What is behind the head is skipped with the next call.
		_, packet, err := one.conn.NextReader()
		if err == nil {
			_, err = io.ReadFull(packet, head)
		}
		if err != nil {
			one.err = fmt.Errorf("after %d events: %w", next, err)
			return
		}
		if !strings.HasPrefix(string(head), `42["n",`+strconv.Itoa(next)+`,"`) {
			one.err = fmt.Errorf("after %d events: %w %q", next, errUnexpected, head)
			return
		}
		c.took[next][i] = int32((time.Now().UnixNano() - c.sent[next].Load()) / 1000)
		if c.heard[next].Add(1) == frozenCrowd {
			close(c.arrived[next])
		}
	}
}

// check reports the clients that have ended: none should have.
func (c *crowd) check(t *testing.T) {
	t.Helper()
	faulty := 0
	for i, one := range c.clients {
		select {
		case <-one.done:
			if faulty++; faulty <= 10 {
				t.Errorf("client %d: %v", i, one.err)
			}
		default:
		}
	}
	if faulty > 10 {
		t.Errorf("and %d clients more", faulty-10)
	}
}

// tailEnds returns what backends hear of ends of connections.
func tailEnds(ctx context.Context, t *testing.T, d daemon) <-chan *fanoutv1.Event {
	t.Helper()
	stream, err := fanoutv1.NewEventServiceClient(connectTo(t, d.control)).Tail(ctx, &fanoutv1.TailRequest{
		Kinds: []fanoutv1.Event_Kind{fanoutv1.Event_DISCONNECTED},
	})
	if err != nil {
		t.Fatalf("Tail: %v", err)
	}
	if _, err := stream.Header(); err != nil { // from here on it is heard
		t.Fatalf("Tail: %v", err)
	}
	ends := make(chan *fanoutv1.Event, 1000)
	go func() {
		for {
			res, err := stream.Recv()
			if err != nil {
				return // the test has ended
			}
			if res.GetHeartbeat() {
				continue
			}
			select {
			case ends <- res.GetEvent():
			default: // the crowd goes home
			}
		}
	}()
	return ends
}

// metric is one of the daemon's, by its name and labels as they are exposed.
func metric(t *testing.T, d daemon, name string) float64 {
	t.Helper()
	return metrics(t, d)[name]
}

// metrics are all of the daemon's at one moment.
func metrics(t *testing.T, d daemon) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(get(t, "http://"+d.ops+"/metrics")) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
			if err != nil {
				t.Fatalf("a metric %q: %v", line, err)
			}
			all[line[:i]] = value
		}
	}
	return all
}
