package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// TestConflateAcrossNodes: events with a key that are emitted at one node replace each other in
// the queue of a client of another that is slow to read: of each key it gets the last, in the
// order of all events, and everything that has none. One that keeps up gets every event.
func TestConflateAcrossNodes(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 57))
			nodes := startNodes(t, bus.NewMemory(), 2)
			slow, _ := nodes[1].connect("/", "", "room")
			fast, _ := nodes[1].connect("/", "", "room")
			here, _ := nodes[0].connect("/", "", "room") // the emitter's own node
			synctest.Wait()
			members := to(room.Selector{Rooms: []string{"room"}})
			var all []string // events, as they are read
			last, first := map[string]int{}, true
			for n := range 120 {
				key := ""
				if !first && r.IntN(4) > 0 {
					key = fmt.Sprint("k", r.IntN(5))
					last[key] = n
				}
				nodes[0].apply(sio.Emit{To: members, Event: "at", Args: fmt.Appendf(nil, "[%q,%d]", key, n), ConflateKey: key})
				all = append(all, fmt.Sprintf(`42["at",%q,%d]`, key, n))
				for name, c := range map[string]*wiretest.WS{"there": fast, "here": here} {
					if got := c.Next(); got != all[n] {
						t.Fatalf("seed %d: who keeps up %s heard %s, want %s", seed, name, got, all[n])
					}
				}
				synctest.Wait()
				first = false // the first is being written from now on, to who is slow
			}
			var want []string
			for n, event := range all {
				key := strings.Split(event, `"`)[3]
				if key == "" || last[key] == n {
					want = append(want, event)
				}
			}
			var got []string
			for range want {
				got = append(got, slow.Next())
			}
			if !slices.Equal(got, want) {
				t.Errorf("seed %d: who is slow heard\n%q, want\n%q", seed, got, want)
			}
			nodes[0].apply(sio.Emit{To: members, Event: "end"})
			for name, c := range map[string]*wiretest.WS{"slow": slow, "fast": fast, "here": here} {
				if got := c.Next(); got != `42["end"]` {
					t.Errorf("seed %d: %s heard %s at the end", seed, name, got)
				}
				c.Close()
			}
			expectConflated(t, nodes, len(all)-len(want))
		})
	}
}

// expectConflated compares how many events were replaced at the first node, where nobody is slow,
// and at the second.
func expectConflated(t *testing.T, nodes []*testNode, want int) {
	t.Helper()
	for i, want := range []int{0, want} {
		if got := nodes[i].server.Stats().Engine.Conflated; got != uint64(want) {
			t.Errorf("node %d has replaced %d events, want %d", i+1, got, want)
		}
	}
}
