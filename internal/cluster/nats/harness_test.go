package nats

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// patience is how long anything may take.
const patience = 30 * time.Second

// until waits for a condition that something else brings about.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("never: %s", what)
		}
	}
}

// newEmbedded starts a node that listens on loopback, unless the options say more.
func newEmbedded(t *testing.T, o Options) *Embedded {
	t.Helper()
	e, err := tryEmbedded(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func tryEmbedded(t *testing.T, o Options) (*Embedded, error) {
	t.Helper()
	if o.Node == "" {
		o.Node = "node"
	}
	if o.Cluster == "" {
		o.Cluster = "test"
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	e, err := NewEmbedded(o)
	if err == nil {
		t.Cleanup(func() { e.Close() })
	}
	return e, err
}

// peerAt is the peer that listens where a node does.
func peerAt(e *Embedded) Peer {
	p, err := ParsePeer(e.Address())
	if err != nil {
		panic(err)
	}
	return p
}

// received subscribes and returns the channel with the payloads.
func received(t *testing.T, b bus.Bus, subject string) <-chan string {
	t.Helper()
	c := make(chan string, 1000)
	if _, err := b.Subscribe(subject, func(m bus.Message) { c <- string(m.Payload) }); err != nil {
		t.Fatal(err)
	}
	return c
}

// meet waits until what one node publishes reaches another.
func meet(t *testing.T, from, to bus.Bus) {
	t.Helper()
	got := make(chan struct{}, 1)
	s, err := to.Subscribe("meet", func(bus.Message) {
		select {
		case got <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Unsubscribe()
	until(t, "a message arrives", func() bool {
		from.Publish("meet", "", nil)
		select {
		case <-got:
			return true
		default:
			return false
		}
	})
}

// names is a Resolver with addresses that change.
type names struct {
	mu        sync.Mutex
	addresses map[string][]string
	lookUps   int
}

func (n *names) set(name string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addresses == nil {
		n.addresses = map[string][]string{}
	}
	n.addresses[name] = addresses
}

func (n *names) LookupHost(_ context.Context, name string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookUps++
	if len(n.addresses[name]) == 0 {
		return nil, errors.New("no such host")
	}
	return append([]string(nil), n.addresses[name]...), nil
}

func (n *names) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lookUps
}

// proxy forwards connections to an address until it is told to stop. Only the way
// through it can be cut: nothing else is between two nodes on loopback.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	conns []net.Conn
	stuck bool // takes what comes and forwards none of it
	wait  *sync.Cond
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to}
	p.wait = sync.NewCond(&p.mu)
	t.Cleanup(func() {
		l.Close()
		p.setStuck(false)
		p.cut()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d, err := net.Dial("tcp", p.to)
			if err != nil {
				c.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, c, d)
			p.mu.Unlock()
			go p.pipe(c, d)
			go p.pipe(d, c)
		}
	}()
	return p
}

func (p *proxy) pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		for p.stuck {
			p.wait.Wait()
		}
		p.mu.Unlock()
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// setStuck has the proxy forward nothing, as a network that loses all packets does.
func (p *proxy) setStuck(stuck bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stuck = stuck
	p.wait.Broadcast()
}

// cut closes all connections through the proxy.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) peer(t *testing.T) Peer {
	t.Helper()
	a := p.listener.Addr().(*net.TCPAddr)
	peer, err := ParsePeer(net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port)))
	if err != nil {
		t.Fatal(err)
	}
	return peer
}
