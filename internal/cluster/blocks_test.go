package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// disk is a blocks.Store that outlives its node, and may be full.
type disk struct {
	mu      sync.Mutex
	records map[string][]byte
	full    bool
}

func (d *disk) Load(f func(string, []byte) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, value := range d.records {
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) Update(put map[string][]byte, remove []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.New("no space left on device")
	}
	maps.Copy(d.records, put)
	for _, key := range remove {
		delete(d.records, key)
	}
	return nil
}

func (d *disk) fill(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// disks are those of nodes, by name.
type disks map[string]*disk

// keep gives each node its disk, and what is on it. It is called twice for each node.
func (all disks) keep(t *testing.T) func(*sio.Options) {
	made := map[string]*blocks.Keeper{}
	return func(o *sio.Options) {
		if all[o.Node] == nil {
			all[o.Node] = &disk{records: map[string][]byte{}}
		}
		if made[o.Node] == nil {
			k, err := blocks.NewKeeper(o.Node, all[o.Node], slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			made[o.Node] = k
		}
		o.Blocks = made[o.Node]
	}
}

func startKeepers(t *testing.T, memory *bus.Memory, number int) ([]*testNode, disks) {
	t.Helper()
	all := disks{}
	nodes := startNodes(t, memory, number, all.keep(t))
	for _, n := range nodes {
		if err := n.BlocksSynced(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	return nodes, all
}

// noSessions is a server with nobody.
type noSessions struct{}

func (noSessions) EndBlocked([]string, []netip.Prefix, string) int { return 0 }

func users(names ...string) (c blocks.Change) {
	for _, name := range names {
		c.Subjects = append(c.Subjects, blocks.Subject{User: name})
	}
	return c
}

// mustBlock blocks users at the node, and returns what that did.
func (n *testNode) mustBlock(names ...string) sio.Result {
	n.t.Helper()
	r, err := n.Block(n.t.Context(), users(names...))
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

func (n *testNode) mustUnblock(names ...string) sio.Result {
	n.t.Helper()
	r, err := n.Unblock(n.t.Context(), users(names...))
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

// wantBlocked wants these users to be those that the nodes keep out.
func wantBlocked(t *testing.T, nodes []*testNode, names ...string) {
	t.Helper()
	for _, n := range nodes {
		page, _, _ := n.BlockPage(blocks.Filter{}, nil, 10_000)
		got := []string{}
		for _, e := range page {
			got = append(got, e.Key()[1:])
		}
		if !slices.Equal(got, names) {
			t.Errorf("%s keeps out %v, want %v", n.Self().Name, got, names)
		}
	}
}

// join asks to be let in as a user, and returns the answer.
func (n *testNode) join(user string) string {
	n.t.Helper()
	n.admit.mu.Lock()
	n.admit.admission = sio.Admission{User: user}
	n.admit.mu.Unlock()
	c := n.listener.MustDialWS(n.t, "EIO=4&transport=websocket")
	defer c.Close()
	c.Next() // open
	c.Say("40")
	answer := c.Next()
	if body, ok := strings.CutPrefix(answer, "40"); ok {
		var o struct{ SID string }
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			n.t.Fatalf("CONNECT answered %q", answer)
		}
		n.admit.await(o.SID)
	}
	return answer
}

// A block holds at every node when it is answered, and ends whoever is there, at each.
func TestBlockAtAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, _ := startKeepers(t, bus.NewMemory(), 3)
		var gone []interface{ Closed() error }
		for _, n := range nodes {
			c, _ := n.connect("/", "42")
			gone = append(gone, c)
		}
		stays, _ := nodes[1].connect("/", "43")
		r := nodes[0].mustBlock("42", "nobody")
		if r.Matched != 3 || r.Partial || len(r.Unreachable) != 0 {
			t.Errorf("Block: %+v", r)
		}
		for _, n := range nodes {
			if got := n.join("42"); got != `44{"message":"blocked"}` {
				t.Errorf("%s: %s", n.Self().Name, got)
			}
		}
		for _, c := range gone {
			c.Closed()
		}
		wantBlocked(t, nodes, "42", "nobody")
		if r := nodes[2].mustUnblock("42", "44"); r.Matched != 1 || r.Partial {
			t.Errorf("Unblock: %+v", r)
		}
		wantBlocked(t, nodes, "nobody")
		for _, n := range nodes {
			if got := n.join("42"); !strings.HasPrefix(got, "40") {
				t.Errorf("%s: %s", n.Self().Name, got)
			}
		}
		stays.Close()
	})
}

// A node that is cut off is named, goes on by what it knows, and is one of them again when
// it is back, whoever was blocked or lifted where.
func TestBlockWhileANodeIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes, _ := startKeepers(t, memory, 3)
		nodes[0].mustBlock("42")
		cutOff(memory, "n3", "n1", "n2")
		settle()
		c, _ := nodes[2].connect("/", "43")
		if r := nodes[0].mustBlock("43"); r.Matched != 0 || !r.Partial || !slices.Equal(r.Unreachable, []string{"n3"}) {
			t.Errorf("Block: %+v", r)
		}
		if r := nodes[1].mustUnblock("42"); r.Matched != 1 || !slices.Equal(r.Unreachable, []string{"n3"}) {
			t.Errorf("Unblock: %+v", r)
		}
		if r := nodes[2].mustBlock("44"); len(r.Unreachable) != 2 {
			t.Errorf("Block at the one that is cut off: %+v", r)
		}
		if _, _, away := nodes[0].BlockPage(blocks.Filter{}, nil, 1); !slices.Equal(away.Unreachable, []string{"n3"}) {
			t.Errorf("the list does not name who is away: %+v", away)
		}
		wantBlocked(t, nodes[:2], "43")
		wantBlocked(t, nodes[2:], "42", "44")
		heal(memory, "n3", "n1", "n2")
		settle()
		wantBlocked(t, nodes, "43", "44")
		c.Closed() // ended as its node heard of it
	})
}

// A node that joins knows who is blocked before it lets anybody in, and brings back nothing
// of what an old data directory has and was lifted since; what it alone knows it tells.
func TestBlockAndANodeThatStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes, all := startKeepers(t, memory, 2)
		nodes[1].mustBlock("42", "43")
		old := &disk{records: maps.Clone(all["n2"].records)}
		own := blocks.Change{Subjects: []blocks.Subject{{User: "own"}}}
		k, err := blocks.NewKeeper("n3", old, slog.New(slog.DiscardHandler))
		if err == nil {
			k.Enforce(noSessions{})
			_, _, err = k.Block(own)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r := nodes[0].mustUnblock("42"); r.Partial {
			t.Errorf("%+v", r)
		}
		nodes[0].mustBlock("44")

		all["n3"] = old
		third := startNode(t, memory, "n3", "epoc3", all.keep(t))
		third.meet(2)
		if err := third.BlocksSynced(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		wantBlocked(t, []*testNode{third}, "43", "44", "own")
		settle()
		wantBlocked(t, append(nodes, third), "43", "44", "own")
		kept, err := blocks.NewKeeper("n3", old, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if kept.User("42") || !kept.User("44") {
			t.Error("what it heard is not on its disk")
		}
	})
}

// Blocks outlive the restart of all nodes.
func TestBlockOutlivesAllNodes(t *testing.T) {
	all := disks{}
	for run, want := range [][]string{{}, {"42"}} {
		synctest.Test(t, func(t *testing.T) {
			nodes := startNodes(t, bus.NewMemory(), 2, all.keep(t))
			wantBlocked(t, nodes, want...)
			if run == 0 {
				nodes[0].mustBlock("42", "43")
				nodes[1].mustUnblock("43")
			}
		})
	}
}

// A full disk is told of: at the node that was asked nothing is done, at another it is in
// force, and the node is named as one that may forget it.
func TestBlockWithFullDisks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, all := startKeepers(t, bus.NewMemory(), 2)
		all["n1"].fill(true)
		if _, err := nodes[0].Block(t.Context(), users("42")); !errors.As(err, new(*blocks.StoreError)) {
			t.Errorf("%v", err)
		}
		wantBlocked(t, nodes)
		if r := nodes[1].mustBlock("42"); !r.Partial || !slices.Equal(r.Unreachable, []string{"n1"}) {
			t.Errorf("%+v", r)
		}
		wantBlocked(t, nodes, "42")
	})
}

// A node whose clock was ahead may have lifted what another blocks before it has heard of
// that: then the block is not in force there, which its answer says; and it is, once the
// other has heard.
func TestBlockOfWhatWasLiftedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, _ := startKeepers(t, bus.NewMemory(), 2)
		ahead := time.Now().Add(time.Minute).UnixNano()
		lifted := blocks.Entry{Subject: blocks.Subject{User: "42"}, Stamp: blocks.Stamp{Time: ahead, Node: "n1"}}
		if _, _, err := nodes[0].opts.Blocks.Take([]blocks.Entry{lifted}); err != nil {
			t.Fatal(err)
		}
		r := nodes[1].mustBlock("42")
		wantBlocked(t, nodes[:1])
		if !r.Partial || !slices.Equal(r.Unreachable, []string{"n1"}) {
			t.Errorf("Block: %+v", r)
		}
		time.Sleep(time.Second) // it asks the other at once
		synctest.Wait()
		if r := nodes[1].mustBlock("42"); r.Partial {
			t.Errorf("Block once more: %+v", r)
		}
		wantBlocked(t, nodes, "42")
	})
}

// Many are told in pieces.
func TestPullOfMany(t *testing.T) {
	t.Run("entries", func(t *testing.T) { pullOfMany(t, 2*blocksPage+1, "u%05d") })
	t.Run("bytes", func(t *testing.T) { pullOfMany(t, 600, "u%01000d") })
}

func pullOfMany(t *testing.T, number int, name string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes, all := startKeepers(t, memory, 1)
		names := make([]string, number)
		for i := range names {
			names[i] = fmt.Sprintf(name, i)
		}
		nodes[0].mustBlock(names...)
		second := startNode(t, memory, "n2", "epoc2", all.keep(t))
		second.meet(1)
		if err := second.BlocksSynced(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		wantBlocked(t, append(nodes, second), names...)
		if n := second.blockPages.Load(); n != 3 {
			t.Errorf("told in %d pages", n)
		}
		time.Sleep(2 * pullEvery) // and nothing comes of pulling once more
		synctest.Wait()
		wantBlocked(t, append(nodes, second), names...)
	})
}

// A node that starts waits for as long as it is told something, and gives up when it is not.
func TestBlocksThatDoNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes, _ := startKeepers(t, memory, 2)
		n := nodes[1]
		n.all()[0].pulled.Store(false)
		cutOff(memory, "n2", "n1")
		const patience = 10 * time.Second
		go func() {
			for range 3 {
				time.Sleep(patience - time.Second)
				n.blockPages.Add(1)
			}
		}()
		began := time.Now()
		err := n.BlocksSynced(t.Context(), patience)
		if took := time.Since(began); !errors.Is(err, errNoBlocksCome) || took < 3*(patience-time.Second)+patience {
			t.Errorf("%v after %v", err, took)
		}
		heal(memory, "n2", "n1")
	})
}
