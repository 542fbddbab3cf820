package nats

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

func TestClustersOverOneNATSDoNotSeeEachOther(t *testing.T) {
	s := newServer(t, &server.Options{})
	ours := newExternal(t, ExternalOptions{Cluster: "ours", URLs: []string{s.ClientURL()}})
	theirs := newExternal(t, ExternalOptions{Cluster: "theirs", URLs: []string{s.ClientURL()}})
	got := received(t, theirs, "x")
	ours.Publish("x", "", []byte("ours"))
	meet(t, ours, newExternal(t, ExternalOptions{Cluster: "ours", URLs: []string{s.ClientURL()}}))
	theirs.Publish("x", "", []byte("theirs"))
	if text := take(t, got); text != "theirs" {
		t.Errorf("received %s", text)
	}
}

// TestExternalComesBack: while the server is away messages are refused and counted; when
// it is back the subscriptions are.
func TestExternalComesBack(t *testing.T) {
	o := server.Options{}
	s := newServer(t, &o)
	port := s.Addr().(*net.TCPAddr).Port
	e := newExternal(t, ExternalOptions{URLs: []string{s.ClientURL()}})
	got := received(t, e, "x")
	s.Shutdown()
	s.WaitForShutdown()
	until(t, "not connected", func() bool { return !e.Connected() })
	for range 3 {
		if err := e.Publish("x", "", []byte("lost")); !errors.Is(err, bus.ErrNotConnected) {
			t.Errorf("Publish while the server is away: %v", err)
		}
	}
	if n := e.Dropped(); n != 3 {
		t.Errorf("dropped %d, want 3", n)
	}
	meanwhile := received(t, e, "y")
	newServer(t, &server.Options{Port: port})
	until(t, "connected", e.Connected)
	for subject, c := range map[string]<-chan string{"x": got, "y": meanwhile} {
		until(t, "the subscription is back", func() bool {
			e.Publish(subject, "", []byte("back"))
			return len(c) > 0
		})
		if text := take(t, c); text != "back" {
			t.Errorf("received %s", text)
		}
	}
	if n := e.Stats().Reconnects; n != 1 {
		t.Errorf("%d reconnects, want 1", n)
	}
}

// TestExternalMayBeAwayAtTheStart: it is connected to once it is there.
func TestExternalMayBeAwayAtTheStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var said log
	e := newExternal(t, ExternalOptions{URLs: []string{"nats://" + l.Addr().String()}, Logger: said.logger()})
	if e.Connected() {
		t.Error("connected to nobody")
	}
	if err := e.Publish("x", "", nil); !errors.Is(err, bus.ErrNotConnected) {
		t.Errorf("Publish: %v", err)
	}
	got := received(t, e, "x")
	until(t, "the log says so", func() bool { return strings.Contains(said.String(), "cannot reach the NATS server") })
	newServer(t, &server.Options{Port: port})
	until(t, "connected", e.Connected)
	until(t, "the subscription is in force", func() bool {
		e.Publish("x", "", []byte("back"))
		return len(got) > 0
	})
}

func TestExternalCredentials(t *testing.T) {
	s := newServer(t, &server.Options{Username: "fanoutd", Password: "right"})
	with := func(user string) string { return strings.Replace(s.ClientURL(), "nats://", "nats://"+user+"@", 1) }
	var said log
	e := newExternal(t, ExternalOptions{URLs: []string{with("fanoutd:right")}, Logger: said.logger()})
	if !e.Connected() {
		t.Error("not connected with the right password")
	}
	if strings.Contains(said.String(), "right") {
		t.Error("the password is in the log")
	}
	wrong, err := NewExternal(ExternalOptions{Node: "node", Cluster: "test", URLs: []string{with("fanoutd:wrong")}})
	if err == nil {
		defer wrong.Close()
		if wrong.Connected() {
			t.Error("connected with the wrong password")
		}
	}
	if _, err := NewExternal(ExternalOptions{Node: "node", Cluster: "test", URLs: []string{"nats://host:port"}}); err == nil {
		t.Error("a URL that is none is no error")
	}
}

func TestExternalTLS(t *testing.T) {
	a := newAuthority(t)
	f := a.files(t, t.TempDir(), "127.0.0.1")
	c, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: f.Cert, KeyFile: f.Key, CaFile: f.CA, Verify: true})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, &server.Options{TLS: true, TLSVerify: true, TLSConfig: c, TLSTimeout: 5})
	f.mark(t)
	e := newExternal(t, ExternalOptions{URLs: []string{s.ClientURL()}, TLS: true, CAFile: f.CA, CertFile: f.Cert, KeyFile: f.Key})
	until(t, "connected", e.Connected)

	for name, o := range map[string]ExternalOptions{
		"another authority": {CAFile: newAuthority(t).files(t, t.TempDir(), "x").CA, CertFile: f.Cert, KeyFile: f.Key},
		"no certificate":    {CAFile: f.CA},
	} {
		o.Node, o.Cluster, o.URLs, o.TLS = "node", "test", []string{s.ClientURL()}, true
		var said log
		o.Logger = said.logger()
		refused, err := NewExternal(o)
		if err != nil {
			continue
		}
		defer refused.Close()
		until(t, name+": refused", func() bool { return strings.Contains(said.String(), "cannot reach") })
		if refused.Connected() {
			t.Errorf("%s: connected", name)
		}
	}

	plain := newServer(t, &server.Options{})
	var said log
	refused, err := NewExternal(ExternalOptions{Node: "node", Cluster: "test", URLs: []string{plain.ClientURL()}, TLS: true, Logger: said.logger()})
	if err == nil {
		defer refused.Close()
		until(t, "a server without TLS is refused", func() bool { return strings.Contains(said.String(), "cannot reach") })
		if refused.Connected() {
			t.Error("connected without TLS")
		}
	}
}
