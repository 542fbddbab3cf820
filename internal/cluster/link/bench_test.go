package link_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/link"
	"github.com/fanoutd/fanoutd/internal/cluster/nats"
)

// counter is a handler that counts.
type counter struct {
	peers    atomic.Int32
	received atomic.Int64
}

func (c *counter) Joined(link.Peer)          { c.peers.Add(1) }
func (c *counter) Receive(link.Peer, []byte) { c.received.Add(1) }
func (c *counter) Changed(link.Peer)         {}
func (c *counter) Gone(link.Peer)            {}

// pair returns two ends of a link over two buses.
func pair(b *testing.B, one, other bus.Bus) (from *link.Mesh, received *counter) {
	o := link.Options{JoinWait: -1, Logger: slog.New(slog.DiscardHandler)}
	start := func(over bus.Bus, name string) (*link.Mesh, *counter) {
		c := &counter{}
		m, err := link.New(over, link.Self{Name: name, Epoch: "epoc" + name}, o, c)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { m.Close(context.Background()) })
		return m, c
	}
	from, seen := start(one, "1")
	_, received = start(other, "2")
	for seen.peers.Load() == 0 || received.peers.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	return from, received
}

// run sends messages of 200 bytes, as fast as the link takes them.
func run(b *testing.B, from *link.Mesh, received *counter) {
	message := make([]byte, 200)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := from.Send(context.Background(), "epoc2", message); err != nil {
			b.Fatal(err)
		}
	}
	for received.received.Load() < int64(b.N) {
		time.Sleep(100 * time.Microsecond)
	}
}

func BenchmarkMemory(b *testing.B) {
	m := bus.NewMemory()
	from, received := pair(b, m.Join("1"), m.Join("2"))
	run(b, from, received)
}

func natsPair(b *testing.B) (from *link.Mesh, received *counter) {
	start := func(name string, peers ...nats.Peer) *nats.Embedded {
		e, err := nats.NewEmbedded(nats.Options{Cluster: "bench", Node: name, Listen: "127.0.0.1:0", Peers: peers, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { e.Close() })
		return e
	}
	one := start("1")
	at, err := nats.ParsePeer(one.Address())
	if err != nil {
		b.Fatal(err)
	}
	return pair(b, one, start("2", at))
}

// BenchmarkNATS is a link over two embedded servers.
func BenchmarkNATS(b *testing.B) {
	from, received := natsPair(b)
	run(b, from, received)
}

// BenchmarkConfirmed is a message that is waited for.
func BenchmarkConfirmed(b *testing.B) {
	from, _ := natsPair(b)
	message := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		at, err := from.Send(context.Background(), "epoc2", message)
		if err == nil {
			err = from.Confirmed(context.Background(), "epoc2", at)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
