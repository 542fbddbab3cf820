package link

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// Peers know what a node said last of how much it has, and how busy it is.
func TestAnnouncesLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		var connections atomic.Int64
		connections.Store(3)
		a := newNode(t, memory, "a", "aaaaa", Options{})
		b := newNode(t, memory, "b", "bbbbb", Options{
			Connections: func() int { return int(connections.Load()) }, Load: func() float64 { return float64(connections.Load()) / 8 },
			Activity: func() Activity {
				n := int(connections.Load())
				return Activity{At: time.Now(), Sessions: map[string]int{"polling": n}, Queued: n, Received: uint64(n), Sent: 1, Emits: 2, FanOut: time.Second}
			},
		})
		for _, n := range []int64{3, 6} {
			connections.Store(n)
			time.Sleep(2 * time.Second)
			peers := a.Peers()
			if len(peers) != 1 || peers[0].Connections != int(n) || peers[0].Load != float64(n)/8 {
				t.Fatalf("with %d: %+v", n, peers)
			}
			does := peers[0].Activity
			if does == nil || does.Sessions["polling"] != int(n) || does.Queued != int(n) || does.Received != uint64(n) || does.Sent != 1 || does.Emits != 2 || does.FanOut != time.Second {
				t.Fatalf("with %d it does %+v", n, does)
			}
			if ago := time.Since(does.At); ago < 0 || ago > time.Second {
				t.Errorf("with %d it did so %s ago", n, ago)
			}
		}
		if peers := b.Peers(); len(peers) != 1 || peers[0].Connections != 0 || peers[0].Load != 0 || peers[0].Activity != nil {
			t.Errorf("of one that does not say: %+v", peers)
		}
		check(t, a, b)
	})
}
