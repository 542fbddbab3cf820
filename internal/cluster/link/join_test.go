package link

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
)

// routedBus reaches so many other nodes, until then.
type routedBus struct {
	bus.Bus
	others int
	until  time.Time
}

func (b routedBus) Others() int {
	if time.Now().After(b.until) {
		return 0
	}
	return b.others
}

// TestJoin: a node that starts knows the others before New returns: those that answer late
// where the bus reaches them, and those that its first announcement did not reach.
func TestJoin(t *testing.T) {
	const wait = time.Second
	for _, tt := range []struct {
		name   string
		others int           // -1: the bus does not know
		deaf   time.Duration // nothing reaches anybody for so long
		peers  int
		took   time.Duration // or up to a fifth of wait more
	}{
		{"at once", -1, 0, 1, wait},
		{"a first announcement that is lost", -1, wait / 2, 1, wait},
		{"late", 1, 3 * wait, 1, 3 * wait},
		{"late, where nobody knows of it", -1, 3 * wait, 0, wait},
		{"too late", 1, time.Minute, 0, joinLimit * wait},
		{"nobody else", 0, 0, 1, wait},
		{"one that says nothing", 2, 0, 1, joinLimit * wait},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := bus.NewMemory()
				a := newNode(t, memory, "a", "aaaaa", Options{Announce: time.Hour}) // it answers alone
				deaf := time.Now().Add(tt.deaf)
				memory.SetFaults(func(string, string, string, []byte) bus.Verdict { return bus.Verdict{Drop: time.Now().Before(deaf)} })
				began, b := time.Now(), memory.Join("b")
				if tt.others >= 0 {
					b = routedBus{b, tt.others, began.Add(wait / 3)} // a route that breaks
				}
				h := &history{node: "b", from: map[string]*received{}}
				mesh, err := New(b, Self{Name: "b", Epoch: "bbbbb"}, Options{JoinWait: wait, Announce: time.Hour, Logger: slog.New(slog.DiscardHandler)}, h)
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				h.mu.Lock()
				known := 0
				for _, r := range h.from {
					if r.there {
						known++
					}
				}
				h.mu.Unlock()
				if len(mesh.Peers()) != tt.peers || known != tt.peers || took < tt.took || took > tt.took+wait/5 {
					t.Errorf("%d peers, of whom %d have joined, after %v; want %d after %v", len(mesh.Peers()), known, took, tt.peers, tt.took)
				}
				memory.SetFaults(nil)
				for _, m := range []*Mesh{mesh, a.Mesh} {
					if err := m.Close(t.Context()); err != nil {
						t.Errorf("Close: %v", err)
					}
				}
			})
		})
	}
}
