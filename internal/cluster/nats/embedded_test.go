package nats

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// log is a log that can be read while it is written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestNodesFindEachOtherThroughOne(t *testing.T) {
	first := newEmbedded(t, Options{Node: "first"})
	second := newEmbedded(t, Options{Node: "second", Peers: []Peer{peerAt(first)}})
	third := newEmbedded(t, Options{Node: "third", Peers: []Peer{peerAt(first)}})
	meet(t, second, third)
	for _, e := range []*Embedded{first, second, third} {
		until(t, "two routes", func() bool { return e.Stats().Routes == 2 })
	}
}

func TestNodeOfTheSameNameComesBack(t *testing.T) {
	a := newEmbedded(t, Options{Node: "a"})
	b := newEmbedded(t, Options{Node: "b", Peers: []Peer{peerAt(a)}})
	meet(t, a, b)
	again := newEmbedded(t, Options{Node: "b", Peers: []Peer{peerAt(a)}}) // its past is not noticed to be gone
	meet(t, a, again)
	meet(t, again, b)
}

func TestOtherClustersAndSecretsAreRefused(t *testing.T) {
	a := newEmbedded(t, Options{Node: "a", Secret: []byte("right")})
	for _, tt := range []struct {
		name string
		o    Options
	}{
		{"another secret", Options{Secret: []byte("wrong")}},
		{"no secret", Options{}},
		{"another cluster", Options{Secret: []byte("right"), Cluster: "other"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var said log
			tt.o.Node, tt.o.Peers, tt.o.Logger = "b", []Peer{peerAt(a)}, said.logger()
			b := newEmbedded(t, tt.o)
			got := received(t, b, "private")
			until(t, "the peer was tried and refused", func() bool {
				return strings.Contains(said.String(), "Router connection closed")
			})
			right := newEmbedded(t, Options{Node: "c", Secret: []byte("right"), Peers: []Peer{peerAt(a)}})
			meet(t, a, right)
			a.Publish("private", "", []byte("x"))
			meet(t, a, right)
			if len(got) != 0 {
				t.Error("a message reached a server that must not be let in")
			}
			if n := b.Stats().Routes; n != 0 {
				t.Errorf("%d routes", n)
			}
		})
	}
}

func TestSecretIsInNoLog(t *testing.T) {
	var said log
	a := newEmbedded(t, Options{Node: "a", Secret: []byte("sesame"), Logger: said.logger()})
	resolver := &names{}
	resolver.set("peers", "127.0.0.1")
	b := newEmbedded(t, Options{Node: "b", Secret: []byte("sesame"), Logger: said.logger(), Resolver: resolver,
		Peers: []Peer{{Name: "peers", Port: peerAt(a).Port, DNS: true}}})
	meet(t, a, b)
	b.setRoutes(nil) // which the server logs with the URL of the route
	until(t, "the route is removed", func() bool { return strings.Contains(said.String(), "Removed route") })
	for _, secret := range []string{"sesame", a.password(), a.token} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func TestListenFailureIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tt := range []struct{ listen, want string }{
		{l.Addr().String(), "address already in use"},
		{"127.0.0.1", "missing port"},
		{"127.0.0.1:http", "the port is no number"},
	} {
		_, err := tryEmbedded(t, Options{Listen: tt.listen})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("listening on %s: %v, want %q", tt.listen, err, tt.want)
		}
	}
}

func TestCloseSendsWhatWasPublished(t *testing.T) {
	a := newEmbedded(t, Options{Node: "a"})
	b := newEmbedded(t, Options{Node: "b", Peers: []Peer{peerAt(a)}})
	got := received(t, a, "goodbye")
	meet(t, b, a)
	long := strings.Repeat("x", 100<<10)
	for i := range 100 {
		if err := b.Publish("goodbye", "", fmt.Appendf(nil, "%d %s", i, long)); err != nil {
			t.Fatal(err)
		}
	}
	b.Close()
	for i := range 100 {
		if n, _, _ := strings.Cut(take(t, got), " "); n != fmt.Sprint(i) {
			t.Fatalf("received %s, want %d", n, i)
		}
	}
}

func TestCutRouteComesBack(t *testing.T) {
	a := newEmbedded(t, Options{Node: "a"})
	through := newProxy(t, a.Address())
	b := newEmbedded(t, Options{Node: "b", Peers: []Peer{through.peer(t)}, Advertise: "127.0.0.1:1"})
	meet(t, a, b)
	through.cut()
	until(t, "the route is gone", func() bool { return a.Stats().Routes == 0 })
	meet(t, a, b)
	meet(t, b, a)
}

func TestSilentRouteIsNoticed(t *testing.T) {
	a := newEmbedded(t, Options{Node: "a"})
	through := newProxy(t, a.Address())
	b := newEmbedded(t, Options{Node: "b", Peers: []Peer{through.peer(t)}, Advertise: "127.0.0.1:1"})
	received(t, b, "to.b")
	meet(t, a, b)
	through.setStuck(true)
	notices := make(chan bool, 100)
	if _, err := a.Subscribe("reply", func(m bus.Message) { notices <- m.NoResponders }); err != nil {
		t.Fatal(err)
	}
	until(t, "nobody subscribes any more", func() bool {
		a.Publish("to.b", "reply", nil)
		select {
		case n := <-notices:
			return n
		default:
			return false
		}
	})
	through.setStuck(false)
	meet(t, a, b)
}

func take(t *testing.T, c <-chan string) (text string) {
	t.Helper()
	until(t, "a message arrives", func() bool {
		select {
		case text = <-c:
			return true
		default:
			return false
		}
	})
	return text
}

// TestServerLogIsBounded: whoever reaches the port cannot fill the log.
func TestServerLogIsBounded(t *testing.T) {
	var said log
	l := newServerLog(slog.New(slog.NewTextHandler(&said, nil)), "")
	for range 10 * logBurst {
		l.Errorf("TLS route handshake error")
		l.Noticef("Route connection created")
	}
	if n := strings.Count(said.String(), "\n"); n < logBurst || n > 2*logBurst {
		t.Errorf("%d lines, want %d and few more", n, logBurst)
	}
}

// TestServerLogHints: what nodes refuse each other for names the setting, and is said now
// and then, however often they try.
func TestServerLogHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said log
		l := newServerLog(slog.New(slog.NewTextHandler(&said, nil)), "")
		for range 50 {
			for range 20 {
				l.Errorf("%s - rid:%d - Route Error %q", "127.0.0.1:1", 1, "Authorization Violation")
				l.Errorf("TLS route handshake error: %s", "tls: first record does not look like a TLS handshake")
				l.Errorf("TLS route handshake error: %s", "x509: certificate signed by unknown authority")
				l.Errorf("Rejecting connection, cluster name %q does not match %q", "a", "b")
			}
			time.Sleep(time.Second)
		}
		for _, setting := range []string{"cluster-secret-file", "cluster-tls-key-file", "see cluster-tls-cert-file", "cluster-name"} {
			if n := strings.Count(said.String(), setting); n != 3+4 {
				t.Errorf("%d lines name %s, want 7", n, setting)
			}
		}
	})
}
