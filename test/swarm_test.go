// Package test runs the real, built daemon against many real connections. The
// peers that need a runtime of their own (the stock client, a browser,
// grpcurl) are the .test.mjs files beside this one.
package test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	swarmClients = 5000
	swarmEmits   = 100
	// swarmDials is how many handshakes are under way at once: enough to keep
	// the daemon busy, few enough for any listen backlog.
	swarmDials = 32
	// swarmPatience bounds the whole test; it only matters to one that fails.
	swarmPatience = 4 * time.Minute
)

// TestSwarm puts 5,000 Socket.IO clients over WebSocket into one room and
// emits 100 events to it: each client gets each of them exactly once, in order.
func TestSwarm(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections; run without -short")
	}
	needFiles(t, swarmClients+500)
	ctx, cancel := context.WithTimeout(t.Context(), swarmPatience)
	defer cancel()
	d := startDaemon(ctx, t)
	emitter, registry := dialControl(t, d.control)

	swarm := connectSwarm(ctx, t, d.listen)
	everybody := &fanoutv1.Target{All: true}
	joined, err := registry.Join(ctx, &fanoutv1.JoinRequest{To: everybody, Rooms: []string{"swarm"}})
	if err != nil {
		t.Fatalf("Join: %v", err)
	}
	if joined.GetAffected() != swarmClients {
		t.Fatalf("Join affected %d connections, want %d", joined.GetAffected(), swarmClients)
	}

	room := &fanoutv1.Target{Rooms: []string{"swarm"}}
	for n := range swarmEmits {
		res, err := emitter.Emit(ctx, &fanoutv1.EmitRequest{To: room, Event: "n", ArgsJson: fmt.Sprintf("[%d]", n)})
		if err != nil {
			t.Fatalf("Emit %d: %v", n, err)
		}
		if res.GetMatched() != swarmClients {
			t.Fatalf("Emit %d matched %d connections, want %d", n, res.GetMatched(), swarmClients)
		}
	}
	// What came twice would have come before this.
	if _, err := emitter.Emit(ctx, &fanoutv1.EmitRequest{To: everybody, Event: "end"}); err != nil {
		t.Fatalf("Emit end: %v", err)
	}

	faulty := 0
	for i, c := range swarm {
		select {
		case <-c.done:
		case <-ctx.Done():
			t.Fatalf("client %d still waits: %v", i, context.Cause(ctx))
		}
		if c.err != nil {
			if faulty++; faulty <= 10 {
				t.Errorf("client %d: %v", i, c.err)
			}
		}
	}
	if faulty > 10 {
		t.Errorf("and %d clients more", faulty-10)
	}
}

// needFiles skips the test where a process may not open that many files. The
// Go runtime has raised the soft limit to the hard one already.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("reading RLIMIT_NOFILE: %v", err)
	}
	if limit.Cur < n {
		t.Skipf("needs %d open files, RLIMIT_NOFILE is %d: raise it with ulimit -n", n, limit.Cur)
	}
}

// controlKey is the key of daemons that have one.
const controlKey = "the-key-of-every-test"

// keyed sends controlKey with each call, in plain text. Daemons that have no key take no
// notice of it.
type keyed struct{}

func (keyed) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + controlKey}, nil
}

func (keyed) RequireTransportSecurity() bool { return false }

func dialControl(t *testing.T, address string) (fanoutv1.EmitterServiceClient, fanoutv1.RegistryServiceClient) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(keyed{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return fanoutv1.NewEmitterServiceClient(conn), fanoutv1.NewRegistryServiceClient(conn)
}

// swarmClient is one Socket.IO client. Its goroutine owns all of it until done
// is closed.
type swarmClient struct {
	id   string
	conn *websocket.Conn
	done chan struct{}
	err  error // why it did not hear 0, 1, 2 ... and the end
}

// connectSwarm connects all clients and starts their readers, which end with
// the test.
func connectSwarm(ctx context.Context, t *testing.T, address string) []*swarmClient {
	t.Helper()
	dialer := &websocket.Dialer{
		HandshakeTimeout: swarmPatience,
		ReadBufferSize:   256,
		WriteBufferSize:  256,
		WriteBufferPool:  &sync.Pool{},
	}
	clients := make([]*swarmClient, swarmClients)
	errs := make([]error, swarmDials)
	var dials, readers sync.WaitGroup
	t.Cleanup(func() {
		for _, c := range clients {
			if c != nil {
				_ = c.conn.Close()
			}
		}
		readers.Wait()
	})
	for worker := range swarmDials {
		dials.Go(func() {
			for i := worker; i < swarmClients; i += swarmDials {
				c, err := joinSwarm(ctx, dialer, address)
				if err != nil {
					errs[worker] = fmt.Errorf("client %d: %w", i, err)
					return
				}
				clients[i] = c
				readers.Go(c.listen)
			}
		})
	}
	dials.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return clients
}

// joinSwarm opens a session and joins the default namespace.
func joinSwarm(ctx context.Context, dialer *websocket.Dialer, address string) (*swarmClient, error) {
	return joinSwarmIn(ctx, dialer, address, "")
}

// joinSwarmIn is joinSwarm for a namespace, "" or as packets begin with it: "/name,".
func joinSwarmIn(ctx context.Context, dialer *websocket.Dialer, address, namespace string) (*swarmClient, error) {
	conn, _, err := dialer.DialContext(ctx, "ws://"+address+"/socket.io/?EIO=4&transport=websocket", http.Header{})
	if err != nil {
		return nil, fmt.Errorf("dialing: %w", err)
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetReadDeadline(deadline)
	c := &swarmClient{conn: conn, done: make(chan struct{})}
	for _, step := range []struct{ send, want string }{{"", "0{"}, {"40" + namespace, "40" + namespace + "{"}} {
		if step.send != "" {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(step.send)); err != nil {
				_ = conn.Close()
				return nil, fmt.Errorf("sending %q: %w", step.send, err)
			}
		}
		_, got, err := conn.ReadMessage()
		if err == nil && !strings.HasPrefix(string(got), step.want) {
			err = fmt.Errorf("got %q", got)
		}
		if err == nil && step.send != "" {
			c.id, err = joined(string(got))
		}
		if err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("waiting for a packet that starts with %q: %w", step.want, err)
		}
	}
	return c, nil
}

// listen reads until the end is announced, and checks every event.
func (c *swarmClient) listen() {
	defer close(c.done)
	for next := 0; ; {
		_, packet, err := c.conn.ReadMessage()
		if err != nil {
			c.err = fmt.Errorf("after %d events: %w", next, err)
			return
		}
		switch s := string(packet); {
		case s == "2":
			if err := c.conn.WriteMessage(websocket.TextMessage, []byte("3")); err != nil {
				c.err = fmt.Errorf("answering a ping: %w", err)
				return
			}
		case s == `42["n",`+strconv.Itoa(next)+`]`:
			next++
		case s == `42["end"]` && next == swarmEmits:
			return
		default:
			c.err = fmt.Errorf("after %d events: unexpected packet %q", next, s)
			return
		}
	}
}
