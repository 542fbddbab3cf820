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

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/grpcserver"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// world is a whole daemon in memory, in a bubble with fake time.
type world struct {
	t          *testing.T
	dispatcher *dispatch.Dispatcher
	browsers   *wiretest.Listener
	control    *bufconn.Listener
	log        lockedBuffer // what backends log
	key        string
	away       atomic.Bool // nobody accepts connections from backends

	mu    sync.Mutex
	conns []net.Conn // from backends to the daemon
}

func inBubble(t *testing.T, f func(*world)) { t.Helper(); inBubbleWithKey(t, "", f) }

func inBubbleWithKey(t *testing.T, key string, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		w := &world{t: t, browsers: wiretest.Listen(), control: bufconn.Listen(1 << 20), key: key}
		w.dispatcher = dispatch.New(dispatch.Options{Logger: quiet})
		sockets, err := sio.NewServer(sio.Options{
			Namespaces: []string{"/", "/chat"}, Backend: w.dispatcher, Engine: engineio.Options{Logger: quiet},
		})
		if err != nil {
			t.Fatal(err)
		}
		var keys []identity.Key
		if key != "" {
			keys = append(keys, identity.Key{Secret: key})
		}
		callers, err := identity.NewAuthenticator(keys, key == "")
		if err != nil {
			t.Fatal(err)
		}
		services := control.New(sockets, control.Options{Dispatcher: control.DispatcherOf(w.dispatcher), Logger: quiet})
		api := grpcserver.New(services, callers)
		web := &http.Server{Handler: sockets}
		var serving sync.WaitGroup
		serving.Go(func() { _ = web.Serve(w.browsers) })
		serving.Go(func() { _ = api.Serve(w.control) })
		defer func() { // also after a Fatal
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := api.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown of control: %v", err)
			}
			services.Wait()
			if err := sockets.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown of sio: %v", err)
			}
			web.Close()
			serving.Wait()
			time.Sleep(2 * time.Minute) // until groups without consumers are forgotten
		}()
		f(w)
	})
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
