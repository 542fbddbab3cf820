package nats

import (
	"strings"
	"testing"
	"time"
)

func TestParsePeer(t *testing.T) {
	for _, s := range []string{"host:6222", "10.0.0.1:1", "[::1]:65535", "dns:fanoutd.default.svc:6222"} {
		p, err := ParsePeer(s)
		if err != nil || p.String() != s {
			t.Errorf("ParsePeer(%q) = %v, %v", s, p, err)
		}
	}
	for _, tt := range []struct{ peer, want string }{
		{"", "HOST:PORT"}, {"host", "HOST:PORT"}, {":6222", "HOST:PORT"}, {"dns:host", "HOST:PORT"},
		{"host:0", "port"}, {"host:65536", "port"}, {"host:nats", "port"},
		{"dns:10.0.0.1:6222", "leave dns: out"}, {"nats://host:6222", "HOST:PORT"},
	} {
		if p, err := ParsePeer(tt.peer); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParsePeer(%q) = %v, %v", tt.peer, p, err)
		}
	}
}

// TestDNS: nodes find each other by a name that has the addresses of all of them, their
// own included, and those that join it later.
func TestDNS(t *testing.T) {
	resolver := &names{}
	a := newEmbedded(t, Options{Node: "a", Listen: "127.0.0.1:0"})
	port := peerAt(a).Port
	a.Close()
	peers := []Peer{{Name: "nodes", Port: port, DNS: true}}
	start := func(node, host string) *Embedded {
		return newEmbedded(t, Options{Node: node, Listen: Peer{Name: host, Port: port}.String(), Peers: peers, Resolver: resolver})
	}
	first := start("first", "127.0.0.2") // nobody is known to the name yet
	resolver.set("nodes", "127.0.0.2")   // itself
	until(t, "the name is looked up", func() bool { return resolver.count() > 0 })
	second := start("second", "127.0.0.3")
	meet(t, first, second)
	resolver.set("nodes", "127.0.0.2", "127.0.0.3", "127.0.0.4")
	third := start("third", "127.0.0.4")
	meet(t, third, first)
	meet(t, second, third)
	for _, e := range []*Embedded{first, second, third} {
		until(t, "two routes", func() bool { return e.Stats().Routes == 2 })
	}
}

// TestDNSFindsNodesWhileRunning: two nodes that start knowing nobody are joined once
// the name has both.
func TestDNSFindsNodesWhileRunning(t *testing.T) {
	resolver := &names{}
	other := newEmbedded(t, Options{Node: "other"})
	node := newEmbedded(t, Options{Node: "node", Peers: []Peer{{Name: "nodes", Port: peerAt(other).Port, DNS: true}}, Resolver: resolver,
		Resolve: 20 * time.Millisecond})
	until(t, "the name is looked up", func() bool { return resolver.count() > 0 })
	if n := node.Stats().Routes; n != 0 {
		t.Fatalf("%d routes to nobody", n)
	}
	resolver.set("nodes", "127.0.0.1")
	meet(t, node, other)
}

// TestForget: an address goes once its name has not had it for a while; not while a
// node is there, nor while a name cannot be looked up.
func TestForget(t *testing.T) {
	there := newEmbedded(t, Options{Node: "there", Listen: "127.0.0.1:0"})
	e := newEmbedded(t, Options{Node: "e", Peers: []Peer{peerAt(there)}})
	meet(t, e, there)
	long := time.Now().Add(-2 * addressKept)
	known := map[string]time.Time{"127.0.0.1:1": long, "127.9.9.9:1": long, "127.9.9.8:1": time.Now()}
	e.forget(known, true)
	if len(known) != 3 {
		t.Errorf("known while a name cannot be looked up: %v", known)
	}
	e.forget(known, false)
	if _, ok := known["127.9.9.9:1"]; ok || len(known) != 2 {
		t.Errorf("known: %v", known)
	}
}
