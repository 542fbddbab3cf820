package backend

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster/clustertest"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/grpcserver"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// world is a whole daemon in memory, in a bubble with fake time; or three that are one
// cluster, with the browsers at another than the backends.
type world struct {
	t          *testing.T
	dispatcher *dispatch.Dispatcher // of the daemon with the browsers
	browsers   *wiretest.Listener
	control    *bufconn.Listener
	log        lockedBuffer // what backends log
	key        string
	away       atomic.Bool         // nobody accepts connections from backends
	apart      bool                // the browsers are at another daemon
	nodes      []*clustertest.Node // nil: there is one daemon

	mu    sync.Mutex
	conns []net.Conn // from backends to the daemon
}

// Keys of daemons that ask for one: for emits alone, and for one namespace.
const (
	emitKey = "emits only"
	chatKey = "/chat only"
)

// inBubble runs f twice: with one daemon, and with the browsers at another than the
// backends.
func inBubble(t *testing.T, f func(*world)) { t.Helper(); inBubbleWithKey(t, "", f) }

// inBubbleWithKey does so with a daemon that asks for this key, emitKey or chatKey; "" asks for none.
func inBubbleWithKey(t *testing.T, key string, f func(*world)) {
	t.Helper()
	inBubbleWith(t, key, sio.Options{}, f)
}

func inBubbleWith(t *testing.T, key string, o sio.Options, f func(*world)) {
	t.Helper()
	o.Namespaces = []string{"/", "/chat"}
	for name, start := range map[string]func(*world, sio.Options) (control.Hub, control.Options, func(context.Context)){
		"one node": (*world).startNode, "from another node": (*world).startNodes,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t: t, control: bufconn.Listen(1 << 20), key: key}
				hub, services, stop := start(w, o)
				defer time.Sleep(2 * time.Minute)    // until groups without consumers are forgotten
				defer w.serve(hub, services, stop)() // also after a Fatal
				f(w)
			})
		})
	}
}

// startNode starts the one daemon's sockets; stop ends them.
func (w *world) startNode(o sio.Options) (hub control.Hub, services control.Options, stop func(context.Context)) {
	w.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	w.browsers, w.dispatcher = wiretest.Listen(), dispatch.New(dispatch.Options{Logger: quiet})
	o.Backend, o.Owners, o.ChangeListener, o.Engine.Logger = w.dispatcher, w.dispatcher, w.dispatcher, quiet
	keeper, err := blocks.NewKeeper("n1", nil, quiet)
	if err != nil {
		w.t.Fatal(err)
	}
	o.Blocks = keeper
	sockets, err := sio.NewServer(o)
	if err != nil {
		w.t.Fatal(err)
	}
	keeper.Enforce(sockets)
	web := &http.Server{Handler: sockets}
	var serving sync.WaitGroup
	serving.Go(func() { _ = web.Serve(w.browsers) })
	return sockets, control.Options{Dispatcher: control.DispatcherOf(w.dispatcher), Blocks: control.BlocksOf(keeper)}, func(ctx context.Context) {
		if err := sockets.Shutdown(ctx); err != nil {
			w.t.Errorf("Shutdown of sio: %v", err)
		}
		web.Close()
		serving.Wait()
	}
}

// startNodes does so for a cluster.
func (w *world) startNodes(o sio.Options) (hub control.Hub, services control.Options, stop func(context.Context)) {
	w.t.Helper()
	nodes := clustertest.Start(w.t, 3, clustertest.Options{Sockets: o})
	w.browsers, w.dispatcher, w.apart = nodes[0].Browsers, nodes[0].Local, true
	w.nodes = nodes
	return nodes[1], control.Options{Dispatcher: control.ClusterDispatcherOf(nodes[1].Consumers), Keys: nodes[1], Blocks: nodes[1]}, func(context.Context) {
		for _, n := range nodes {
			n.Stop()
		}
	}
}

// serve serves the API and returns what ends it, and then the sockets.
func (w *world) serve(hub control.Hub, o control.Options, stop func(context.Context)) (end func()) {
	w.t.Helper()
	var keys []identity.Key
	if w.key != "" {
		keys = append(keys, identity.Key{Secret: w.key},
			identity.Key{Secret: emitKey, Rights: identity.Rights{Scopes: []identity.Scope{identity.Emit}}},
			identity.Key{Secret: chatKey, Rights: identity.Rights{Namespaces: []string{"/chat"}}})
	}
	callers, err := identity.NewAuthenticator(keys, w.key == "")
	if err != nil {
		w.t.Fatal(err)
	}
	o.Logger = slog.New(slog.DiscardHandler)
	services := control.New(hub, o)
	api := grpcserver.New(services, callers, grpcserver.Options{})
	var serving sync.WaitGroup
	serving.Go(func() { _ = api.Serve(w.control) })
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := api.Shutdown(ctx); err != nil {
			w.t.Errorf("Shutdown of control: %v", err)
		}
		services.Wait()
		stop(ctx)
		serving.Wait()
	}
}

// dial is a backend of its own, with a connection of its own.
func (w *world) dial() *Client {
	w.t.Helper()
	c, err := Dial(w.t.Context(), "passthrough:///memory", w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) options() Options {
	return Options{
		Key:    w.key,
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			if w.away.Load() {
				return nil, errors.New("connection refused")
			}
			c, err := w.control.DialContext(ctx)
			if err == nil {
				w.mu.Lock()
				w.conns = append(w.conns, c)
				w.mu.Unlock()
			}
			return c, err
		})},
	}
}

// cut breaks all connections between backends and the daemon.
func (w *world) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// run runs a consumer until stop, which returns what Run did.
func (w *world) run(c *Consumer) (stop func() error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	synctest.Wait()
	return func() error {
		cancel()
		return <-ended
	}
}

// start is run with a stop that has to be in order.
func (w *world) start(c *Consumer) (stop func()) {
	end := w.run(c)
	return func() {
		w.t.Helper()
		if err := end(); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
}

func (w *world) connect() (*wiretest.WS, string) {
	w.t.Helper()
	return w.browsers.Connect(w.t, "")
}

// settle waits, of the bubble's time, until each node knows what the others have.
func (w *world) settle() { time.Sleep(time.Second) }

// notes is what happened, in order.
type notes struct {
	mu  sync.Mutex
	all []string
}

func (n *notes) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, text)
}

// take returns what was noted since the last time, once all is quiet.
func (n *notes) take() string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	s := strings.Join(n.all, "; ")
	n.all = nil
	return s
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
