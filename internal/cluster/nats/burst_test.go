package nats

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// TestBurstWithinMaxPendingIsKept: nothing is lost of what several senders have under way
// at once, if all of it may wait for the handler.
func TestBurstWithinMaxPendingIsKept(t *testing.T) {
	const size, senders = 64 << 10, 2
	const each = (bus.MaxPending - 1<<20) / size / senders // the rest for subjects, which count too
	to := newEmbedded(t, Options{Node: "to"})
	release := make(chan struct{})
	var next [senders]uint32
	var wrong, got atomic.Int32
	if _, err := to.Subscribe("burst", func(m bus.Message) {
		<-release
		if n := binary.BigEndian.Uint32(m.Payload[1:]); n != next[m.Payload[0]] {
			wrong.Add(1)
		}
		next[m.Payload[0]]++
		got.Add(1)
	}); err != nil {
		t.Fatal(err)
	}
	for i := range senders {
		from := newEmbedded(t, Options{Node: "from", Peers: []Peer{peerAt(to)}})
		meet(t, from, to)
		payload := make([]byte, size)
		payload[0] = byte(i)
		for n := range uint32(each) {
			binary.BigEndian.PutUint32(payload[1:], n)
			if err := from.Publish("burst", "", payload); err != nil {
				t.Fatal(err)
			}
		}
		meet(t, from, to) // all have arrived
	}
	close(release)
	until(t, "all arrive", func() bool { return got.Load() == senders*each })
	if to.Dropped() > 0 || wrong.Load() > 0 {
		t.Errorf("dropped %d, out of order %d", to.Dropped(), wrong.Load())
	}
}

// TestSlowHandlerIsLoggedOnce: not for every message that it loses.
func TestSlowHandlerIsLoggedOnce(t *testing.T) {
	var said log
	e := newEmbedded(t, Options{Node: "e", Logger: said.logger()})
	release := make(chan struct{})
	if _, err := e.Subscribe("slow", func(bus.Message) { <-release }); err != nil {
		t.Fatal(err)
	}
	defer close(release)
	payload := make([]byte, bus.MaxPayload)
	for range bus.MaxPending/bus.MaxPayload + 3 {
		e.Publish("slow", "", payload)
		meet(t, e, e)
	}
	if n := e.Dropped(); n < 2 {
		t.Errorf("dropped %d", n)
	}
	until(t, "the log says so", func() bool { return strings.Contains(said.String(), "faster than they are handled") })
	if n := strings.Count(said.String(), "faster than they are handled"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// BenchmarkBurst sends as fast as Publish returns from one node to another and reports
// how much of it arrives, in percent.
func BenchmarkBurst(b *testing.B) {
	for _, bb := range []struct {
		name string
		size int
	}{{"200B", 200}, {"4KiB", 4 << 10}, {"256KiB", 256 << 10}} {
		b.Run(bb.name, func(b *testing.B) {
			to, err := NewEmbedded(Options{Node: "to", Cluster: "bench", Listen: "127.0.0.1:0"})
			if err != nil {
				b.Fatal(err)
			}
			defer to.Close()
			from, err := NewEmbedded(Options{Node: "from", Cluster: "bench", Listen: "127.0.0.1:0", Peers: []Peer{peerAt(to)}})
			if err != nil {
				b.Fatal(err)
			}
			defer from.Close()
			var got atomic.Int64
			if _, err := to.Subscribe("burst", func(bus.Message) { got.Add(1) }); err != nil {
				b.Fatal(err)
			}
			payload := make([]byte, bb.size)
			for got.Load() == 0 { // until the subscription is known
				if err := from.Publish("burst", "", payload); err != nil {
					b.Fatal(err)
				}
				time.Sleep(time.Millisecond)
			}
			got.Store(0)
			b.SetBytes(int64(bb.size))
			for b.Loop() {
				if err := from.Publish("burst", "", payload); err != nil {
					b.Fatal(err)
				}
			}
			for last := int64(-1); got.Load() != last; time.Sleep(300 * time.Millisecond) {
				last = got.Load()
			}
			b.ReportMetric(100*float64(got.Load())/float64(b.N), "%arrived")
		})
	}
}
