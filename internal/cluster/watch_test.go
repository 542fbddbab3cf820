package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	clusterv1 "github.com/fanoutd/fanoutd/gen/fanout/cluster/v1"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

// watched is a watch of all connections and what its reader knows of them, by node.
type watched struct {
	sio.Watch
	t     *testing.T
	parts map[string]map[string]bool // ids
	told  []string                   // Synced and Resync
}

func (n *testNode) watch(r sio.WatchRequest) *watched {
	n.t.Helper()
	w, err := n.Watch(n.t.Context(), r)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(w.Stop)
	return &watched{Watch: w, t: n.t, parts: map[string]map[string]bool{}}
}

// read reads until nothing is left for the moment.
func (w *watched) read() {
	w.t.Helper()
	for {
		synctest.Wait()
		select {
		case <-w.Ready():
			for _, e := range w.Next() {
				w.take(&e)
			}
		default:
			return
		}
	}
}

func (w *watched) take(e *sio.WatchEvent) {
	w.t.Helper()
	part := w.parts[e.Node]
	if part == nil {
		part = map[string]bool{}
		w.parts[e.Node] = part
	}
	switch e.Kind {
	case sio.WatchAdded:
		if part[e.ID] || e.Connection.Node != e.Node {
			w.t.Errorf("%s has %s twice, or another node has", e.Node, e.ID)
		}
		part[e.ID] = true
	case sio.WatchRemoved:
		if !part[e.ID] {
			w.t.Errorf("%s loses %s, which it has not", e.Node, e.ID)
		}
		delete(part, e.ID)
	case sio.WatchResync:
		clear(part)
		w.told = append(w.told, "resync "+e.Node)
	case sio.WatchSynced:
		w.told = append(w.told, strings.TrimSpace("synced "+e.Node))
	default:
	}
}

// expect checks what the reader knows, was told, and is told not to know.
func (w *watched) expect(what string, told string, away []string, sizes ...int) {
	w.t.Helper()
	w.read()
	got := make([]int, len(sizes))
	for i := range got {
		got[i] = len(w.parts[fmt.Sprint("n", i+1)])
	}
	if strings.Join(w.told, ", ") != told || !slices.Equal(got, sizes) || !slices.Equal(w.Unreachable(), away) {
		w.t.Errorf("%s: told %q, has %v, unreachable %q; want %q, %v, %q", what, w.told, got, w.Unreachable(), told, sizes, away)
	}
	w.told = nil
}

var allConnections = sio.WatchRequest{To: everybody, Connections: true}

// TestWatchCutOff: what was told of a node that does not answer stands, and is told anew
// when it does.
func TestWatchCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3)
		w := nodes[0].watch(allConnections)
		w.expect("at first", "synced", nil, 0, 0, 0)
		for _, n := range nodes {
			n.connect("/", "u")
		}
		w.expect("three connections", "", nil, 1, 1, 1)
		for _, other := range []string{"n1", "n2"} {
			memory.Cut("n3", other)
			memory.Cut(other, "n3")
		}
		settle()
		nodes[2].connect("/", "u")
		late := nodes[0].watch(allConnections)
		late.expect("a watch that begins meanwhile", "synced", []string{"n3"}, 1, 1, 0)
		w.expect("cut off", "", []string{"n3"}, 1, 1, 1)
		for _, other := range []string{"n1", "n2"} {
			memory.Heal("n3", other)
			memory.Heal(other, "n3")
		}
		settle()
		w.expect("back", "resync n3, synced n3", nil, 1, 1, 2)
		late.expect("back, for the other", "resync n3, synced n3", nil, 1, 1, 2)
		nodes[2].apply(sio.Disconnect{To: everybody})
		w.expect("all ended", "", nil, 0, 0, 0)
	})
}

// TestWatchNodeGone: a node that is given up is forgotten; one that ends, or dies and comes
// back by its name, is what it is.
func TestWatchNodeGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3)
		for _, n := range nodes {
			n.connect("/", "u")
		}
		w := nodes[0].watch(allConnections)
		w.expect("at first", "synced", nil, 1, 1, 1)
		memory.Cut("n1", "n2")
		memory.Cut("n2", "n1")
		time.Sleep(2 * time.Minute)
		w.expect("given up", "resync n2, synced n2", nil, 1, 0, 1)
		memory.Heal("n1", "n2")
		memory.Heal("n2", "n1")
		settle()
		w.expect("found again", "resync n2, synced n2", nil, 1, 1, 1)
		nodes[2].stop()
		w.expect("ended", "resync n3, synced n3", nil, 1, 1, 0)
		again := startNode(t, memory, "n3", "epoc9")
		again.connect("/", "u")
		settle()
		w.expect("come back by its name", "resync n3, synced n3", nil, 1, 1, 1)
		memory.Freeze("n2")
		startNode(t, memory, "n4", "epoc4").connect("/", "u")
		settle()
		w.expect("one more, and one that stands still", "resync n4, synced n4", []string{"n2"}, 1, 1, 1, 1)
		memory.Thaw("n2")
		settle()
		w.expect("all", "resync n2, synced n2", nil, 1, 1, 1, 1)
	})
}

// TestWatchUntilSynced: a node is unreachable until it has told all, both to a reader that
// knew something of it and to one that did not.
func TestWatchUntilSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 2)
		const connections = 250 // more than one message tells
		for range connections {
			nodes[1].connect("/", "u")
		}
		early := nodes[0].watch(allConnections)
		early.expect("at first", "synced", nil, 0, connections)
		memory.Cut("n2", "n1")
		settle()
		late := nodes[0].watch(allConnections)
		late.expect("a watch that begins meanwhile", "synced", []string{"n2"}, 0, 0)
		early.expect("cut off", "", []string{"n2"}, 0, connections)
		memory.Heal("n2", "n1")
		settle()
		for name, w := range map[string]*watched{"early": early, "late": late} {
			messages := 0
			for synced := false; !synced; messages++ {
				synctest.Wait()
				if len(w.Ready()) == 0 {
					t.Fatalf("%s: nothing more after %d messages", name, messages)
				}
				<-w.Ready()
				if away := w.Unreachable(); !slices.Equal(away, []string{"n2"}) {
					t.Errorf("%s: before %d messages %q are unreachable", name, messages, away)
				}
				for _, e := range w.Next() {
					w.take(&e)
					synced = synced || e.Kind == sio.WatchSynced
				}
			}
			w.expect(name, "resync n2, synced n2", nil, 0, connections)
			if messages < 3 {
				t.Errorf("%s: %d messages", name, messages)
			}
		}
	})
}

// TestWatchNodeWithoutTheNamespace: a node that comes back by its name, without the
// namespace, has no connections in it any more, whether or not it was missed.
func TestWatchNodeWithoutTheNamespace(t *testing.T) {
	for name, missed := range map[string]bool{"at once": false, "after a while": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := bus.NewMemory()
				nodes := startNodes(t, memory, 2)
				nodes[1].connect("/chat", "u")
				chat := sio.WatchRequest{To: sio.Target{Namespace: "/chat", Selector: everybody.Selector}, Connections: true}
				w := nodes[0].watch(chat)
				w.expect("at first", "synced", nil, 0, 1)
				watches := []*watched{w}
				if missed {
					memory.Cut("n2", "n1")
					settle()
					w.expect("missed", "", []string{"n2"}, 0, 1)
					late := nodes[0].watch(chat)
					late.expect("a watch that begins meanwhile", "synced", []string{"n2"}, 0, 0)
					watches = append(watches, late)
					memory.Heal("n2", "n1")
				}
				startNode(t, memory, "n2", "epoc9", func(o *sio.Options) { o.Namespaces = []string{"/"} }) // the past one is gone
				settle()
				for _, w := range watches {
					w.expect("come back", "resync n2, synced n2", nil, 0, 0)
				}
				time.Sleep(time.Minute)
				for _, w := range watches {
					w.expect("later", "", nil, 0, 0)
				}
			})
		})
	}
}

// TestWatchUnreadable: a peer whose events cannot be read is asked again, and does not go on
// with what it was asked before.
func TestWatchUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 2)
		nodes[1].connect("/", "u")
		w := nodes[0].watch(allConnections)
		w.expect("at first", "synced", nil, 0, 1)
		bad := &clusterv1.WatchEvents_WatchEvent{Connection: &clusterv1.Connection{Data: []byte("{")}}
		requests := &nodes[0].requests
		requests.mu.Lock()
		pending := slices.Collect(maps.Keys(requests.pending))
		requests.mu.Unlock()
		if len(pending) != 1 {
			t.Fatalf("under way: %v", pending)
		}
		requests.answer(pending[0].epoch, pending[0].number, &clusterv1.Answer{More: true, Kind: &clusterv1.Answer_Watch{Watch: &clusterv1.WatchEvents{Events: []*clusterv1.WatchEvents_WatchEvent{bad}}}})
		w.expect("unreadable", "", []string{"n2"}, 0, 1)
		settle()
		w.expect("asked again", "resync n2, synced n2", nil, 0, 1)
		if watches := nodes[1].server.Stats().Watches; watches != 1 {
			t.Errorf("it has %d watches, want 1", watches)
		}
	})
}

// TestWatchOfASlowReader: what it does not read waits at each node, bounded, and is told
// anew.
func TestWatchOfASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 2)
		var ids []string
		for _, n := range nodes {
			_, id := n.connect("/", "u")
			ids = append(ids, id)
		}
		w := nodes[0].watch(allConnections)
		w.expect("at first", "synced", nil, 1, 1)
		one := to(room.Selector{IDs: ids[1:]})
		for i := range 70_000 { // beyond what waits at n2
			nodes[1].apply(sio.Update{Namespace: "/", ID: ids[1], Changes: sio.Changes{Data: map[string]any{"i": i}}})
		}
		time.Sleep(10 * time.Second) // a pause between two rounds
		w.expect("late", "resync n2, synced n2", nil, 1, 1)
		nodes[0].apply(sio.Disconnect{To: one})
		w.expect("the end", "", nil, 1, 0)
		// Nobody reads for longer than a peer waits for that: it has to be asked again.
		nodes[1].connect("/", "u")
		nodes[1].connect("/", "u")
		time.Sleep(30 * time.Minute) // clients are pinged after an hour
		w.expect("after that", "", nil, 1, 2)
		time.Sleep(time.Minute)
		w.expect("asked again", "resync n2, synced n2", nil, 1, 2)
		w.Stop()
		time.Sleep(time.Minute)
		for _, n := range nodes {
			if watches := n.server.Stats().Watches; watches != 0 {
				t.Errorf("%s has %d watches in the end", n.Self().Name, watches)
			}
		}
	})
}

// TestWatchNames: each node tells of its rooms and users.
func TestWatchNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 2)
		w := nodes[0].watch(sio.WatchRequest{To: everybody, Rooms: true, Users: true})
		var told []string
		read := func() string {
			synctest.Wait()
			for len(w.Ready()) > 0 {
				<-w.Ready()
				for _, e := range w.Next() {
					told = append(told, fmt.Sprint(e.Kind, e.Node, e.Name))
				}
				synctest.Wait()
			}
			slices.Sort(told)
			text := strings.Join(told, " ")
			told = nil
			return text
		}
		read()
		nodes[0].connect("/", "u", "r")
		nodes[1].connect("/", "u", "r")
		if got, want := read(), "5n1r 5n2r 7n1u 7n2u"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		nodes[0].apply(sio.Disconnect{To: everybody})
		if got, want := read(), "6n1r 6n2r 8n1u 8n2u"; got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		if left := slices.Collect(maps.Keys(w.parts)); len(left) > 0 {
			t.Errorf("told of connections of %q", left)
		}
	})
}
