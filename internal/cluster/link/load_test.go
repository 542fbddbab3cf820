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
		})
		for _, n := range []int64{3, 6} {
			connections.Store(n)
			time.Sleep(2 * time.Second)
			if peers := a.Peers(); len(peers) != 1 || peers[0].Connections != int(n) || peers[0].Load != float64(n)/8 {
				t.Errorf("with %d: %+v", n, peers)
			}
		}
		if peers := b.Peers(); len(peers) != 1 || peers[0].Connections != 0 || peers[0].Load != 0 {
			t.Errorf("of one that does not say: %+v", peers)
		}
		check(t, a, b)
	})
}
