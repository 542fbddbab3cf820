package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
)

var everybody = to(room.Selector{All: true})

// reachable checks what n answers while it does not reach the nodes of these names.
func (n *testNode) reachable(matched int, names ...string) {
	n.t.Helper()
	about := func(what string, c sio.Coverage) {
		n.t.Helper()
		got := slices.Sorted(slices.Values(c.Unreachable))
		if c.Partial != (len(names) > 0) || !slices.Equal(got, names) {
			n.t.Errorf("%s: %s: %+v, want %q unreachable", n.Self().Name, what, c, names)
		}
	}
	began := time.Now()
	emitted := n.apply(sio.Emit{To: everybody, Event: "e", Applied: true})
	about("APPLIED", emitted.Coverage)
	if emitted.Matched != matched {
		n.t.Errorf("%s: an emit matched %d, want %d", n.Self().Name, emitted.Matched, matched)
	}
	about("ACCEPTED", n.apply(sio.Emit{To: everybody, Event: "e"}).Coverage)
	page, err := n.Connections(n.t.Context(), everybody, "", 1000)
	if err != nil || len(page.Connections) != matched {
		n.t.Errorf("%s: a page of %d, %v", n.Self().Name, len(page.Connections), err)
	}
	about("Connections", page.Coverage)
	counts, err := n.Count(n.t.Context(), everybody, sio.GroupNode)
	if err != nil || counts.Total != matched {
		n.t.Errorf("%s: a count of %d, %v", n.Self().Name, counts.Total, err)
	}
	about("Count", counts.Coverage)
	rooms, err := n.Rooms(n.t.Context(), "/", sio.RoomFilter{}, "", 100)
	if err != nil {
		n.t.Errorf("%s: %v", n.Self().Name, err)
	}
	about("Rooms", rooms.Coverage)
	summary, err := n.EmitWithAck(n.t.Context(), sio.AckRequest{Emit: sio.Emit{To: everybody, Event: "e"}, Timeout: time.Second}, func(sio.AckResult) bool { return true })
	if err != nil || summary.Expected != matched {
		n.t.Errorf("%s: an emit with ack expects %d, %v", n.Self().Name, summary.Expected, err)
	}
	about("EmitWithAck", summary.Coverage)
	if took := time.Since(began); took > 2*time.Second {
		n.t.Errorf("%s: it took %v", n.Self().Name, took)
	}
}

// settle gives suspicions and interest the time to be what they will be.
func settle() { time.Sleep(10 * time.Second); synctest.Wait() }

// TestCutOff: a node that is cut off is named by the others, and names them; nobody
// waits for it; when it is back there is one registry, with what happened meanwhile.
func TestCutOff(t *testing.T) {
	for name, cuts := range map[string][][2]string{
		"both ways": {{"n1", "n3"}, {"n3", "n1"}, {"n2", "n3"}, {"n3", "n2"}},
		"its words": {{"n3", "n1"}, {"n3", "n2"}},
		"its ears":  {{"n1", "n3"}, {"n2", "n3"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := bus.NewMemory()
				nodes := startNodes(t, memory, 3)
				var ids []string
				for _, n := range nodes {
					_, id := n.connect("/", "u")
					ids = append(ids, id)
				}
				for _, n := range nodes {
					n.reachable(3)
				}
				for _, c := range cuts {
					memory.Cut(c[0], c[1])
				}
				settle()
				nodes[0].reachable(2, "n3")
				nodes[1].reachable(2, "n3")
				nodes[2].reachable(1, "n1", "n2")
				var away *sio.UnreachableError
				if _, err := nodes[0].Connection(t.Context(), "/", ids[2]); !errors.As(err, &away) || away.Node != "n3" {
					t.Errorf("a connection of the node that is away: %v", err)
				}
				if _, err := nodes[0].Apply(t.Context(), sio.Update{Namespace: "/", ID: ids[2]}); !errors.As(err, &away) {
					t.Errorf("an update of it: %v", err)
				}
				// A join that the node does not confirm says so, and one there is in force there.
				if r := nodes[0].apply(sio.Join{To: to(room.Selector{IDs: ids[:1]}), Rooms: []string{"r0"}}); r.Matched != 1 || !slices.Contains(r.Unreachable, "n3") {
					t.Errorf("a join: %+v", r)
				}
				if r := nodes[2].apply(sio.Join{To: to(room.Selector{IDs: ids[2:]}), Rooms: []string{"r2"}}); r.Matched != 1 || !r.Partial {
					t.Errorf("a join there: %+v", r)
				}
				// What rooms and users have come beyond the cut cannot be known here.
				for _, sel := range []room.Selector{{Rooms: []string{"r2"}}, {Users: []string{"nobody"}}} {
					r := nodes[0].apply(sio.Emit{To: to(sel), Event: "cut", Applied: true})
					if r.Matched != 0 || !slices.Contains(r.Unreachable, "n3") {
						t.Errorf("an emit to %+v, which may be beyond the cut: %+v", sel, r)
					}
				}
				if r := nodes[0].apply(sio.Emit{To: to(room.Selector{IDs: ids[:1]}), Event: "cut", Applied: true}); r.Matched != 1 || r.Partial {
					t.Errorf("an emit to a connection on this side of the cut: %+v", r)
				}
				for _, c := range cuts {
					memory.Heal(c[0], c[1])
				}
				settle()
				for _, n := range nodes {
					n.reachable(3)
					for _, name := range []string{"r0", "r2"} {
						if r := n.apply(sio.Emit{To: to(room.Selector{Rooms: []string{name}}), Event: "e", Applied: true}); r.Matched != 1 || r.Partial {
							t.Errorf("%s: an emit to %s: %+v", n.Self().Name, name, r)
						}
					}
				}
			})
		})
	}
}

// healed returns two nodes with a connection each, which were cut off from each other
// until now. One of them learns first that it is over.
func healed(t *testing.T) (nodes []*testNode, ids []string) {
	memory := bus.NewMemory()
	for i := range 2 {
		nodes = append(nodes, startNode(t, memory, fmt.Sprint("n", i+1), fmt.Sprintf("epoc%d", i+1)))
		time.Sleep(500 * time.Millisecond) // so that one asks earlier than the other
	}
	for _, n := range nodes {
		n.meet(1)
		_, id := n.connect("/", "u")
		ids = append(ids, id)
	}
	memory.Cut("n1", "n2")
	memory.Cut("n2", "n1")
	settle()
	memory.Heal("n1", "n2")
	memory.Heal("n2", "n1")
	return nodes, ids
}

// TestAnswersAfterCut: who learns first that a cut is over asks the other, which answers
// as soon as it knows too.
func TestAnswersAfterCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, _ := healed(t)
		var asking sync.WaitGroup
		for _, n := range nodes {
			asking.Go(func() {
				for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(10 * time.Millisecond) {
					asked := time.Now()
					counts, err := n.Count(t.Context(), everybody, sio.GroupNone)
					if took := time.Since(asked); err != nil || took > 2*time.Second {
						t.Errorf("%s: a count took %v: %+v, %v", n.Self().Name, took, counts, err)
					}
				}
			})
		}
		asking.Wait()
		for _, n := range nodes {
			n.reachable(2)
		}
	})
}

// TestJoinsAfterCut: a join that is answered then is in force for the node that was asked,
// or the answer says that it may not be.
func TestJoinsAfterCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, ids := healed(t)
		var asking sync.WaitGroup
		for i, n := range nodes {
			name, other := n.Self().Name, ids[1-i]
			asking.Go(func() {
				joined := 0
				for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(10 * time.Millisecond) {
					r := fmt.Sprintf("%s %v", name, time.Since(began))
					join := n.apply(sio.Join{To: to(room.Selector{IDs: []string{other}}), Rooms: []string{r}})
					if join.Matched == 0 || slices.Contains(join.Unreachable, name) {
						continue
					}
					joined++
					if emit := n.apply(sio.Emit{To: to(room.Selector{Rooms: []string{r}}), Event: "e", Applied: true}); emit.Matched != 1 && !emit.Partial {
						t.Errorf("%s: a join: %+v; then an emit: %+v", name, join, emit)
					}
				}
				if joined == 0 {
					t.Errorf("%s: nothing was joined", name)
				}
			})
		}
		asking.Wait()
	})
}

// TestCutOffForLong: a node that was given up is named no more; when it is back it is
// one of them as before.
func TestCutOffForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 2)
		_, id := nodes[1].connect("/", "u", "r")
		memory.Cut("n1", "n2")
		memory.Cut("n2", "n1")
		time.Sleep(2 * time.Minute)
		nodes[0].reachable(0)
		if _, err := nodes[0].Connection(t.Context(), "/", id); !errors.Is(err, sio.ErrNotFound) {
			t.Errorf("a connection of a node that is gone: %v", err)
		}
		memory.Heal("n1", "n2")
		memory.Heal("n2", "n1")
		settle()
		nodes[0].reachable(1)
		if r := nodes[0].apply(sio.Emit{To: to(room.Selector{Rooms: []string{"r"}}), Event: "e"}); r.Forwarded != 1 {
			t.Errorf("an emit to its room: %+v", r)
		}
	})
}

// TestFrozen: a node that stops, and goes on in a while, is as one that is cut off; what
// was on its way is applied when it goes on, once.
func TestFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 2)
		c, _ := nodes[1].connect("/", "u")
		memory.Freeze("n2")
		for i := range 10 {
			if r := nodes[0].apply(sio.Emit{To: everybody, Event: fmt.Sprint("e", i)}); r.Forwarded != 1 || r.Partial {
				t.Errorf("an emit right after it stopped: %+v", r)
			}
		}
		settle()
		if r := nodes[0].apply(sio.Emit{To: everybody, Event: "lost"}); r.Forwarded != 0 || !r.Partial {
			t.Errorf("an emit to one that is suspected: %+v", r)
		}
		memory.Thaw("n2")
		settle()
		nodes[0].apply(sio.Emit{To: everybody, Event: "end", Applied: true})
		for i := range 10 {
			if got, want := c.Next(), fmt.Sprintf(`42["e%d"]`, i); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if got := c.Next(); got != `42["end"]` {
			t.Errorf("got %s", got)
		}
	})
}

// TestNodeEnds: a node that shuts down is gone at once, and nobody is named.
func TestNodeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 3)
		for _, n := range nodes {
			n.connect("/", "")
		}
		nodes[2].stop()
		synctest.Wait()
		for _, n := range nodes[:2] {
			n.reachable(2)
		}
	})
}

// TestJoinWhileANodeLeaves: a node that leaves before it has confirmed that it knows of a room
// is not named, and not waited for any longer.
func TestJoinWhileANodeLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3)
		c, id := nodes[0].connect("/", "")
		memory.Cut("n1", "n3")
		const after = 500 * time.Millisecond // of a second, for which it is waited for
		var leaving sync.WaitGroup
		leaving.Go(func() {
			time.Sleep(after)
			nodes[2].stop()
		})
		began := time.Now()
		r := nodes[0].apply(sio.Join{To: to(ids(id)), Rooms: []string{"r"}})
		if took := time.Since(began); r.Matched != 1 || r.Partial || took != after {
			t.Errorf("it took %v: %+v", took, r)
		}
		leaving.Wait()
		c.Close()
	})
}

// slowHub answers questions late.
type slowHub struct {
	Server
	by time.Duration
}

func (h *slowHub) Connections(ctx context.Context, to sio.Target, cursor string, limit int) (sio.ConnectionPage, error) {
	time.Sleep(h.by)
	return h.Server.Connections(ctx, to, cursor, limit)
}

func (h *slowHub) Count(ctx context.Context, to sio.Target, by sio.GroupBy) (sio.Counts, error) {
	time.Sleep(h.by)
	return h.Server.Count(ctx, to, by)
}

// TestSlowPeer: a caller gets within its deadline what there is by then, and the node
// that was too slow by name.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 3)
		for _, n := range nodes {
			n.connect("/", "")
		}
		nodes[1].hub = &slowHub{nodes[1].hub, 2 * time.Second}
		ask := func(deadline time.Duration) (sio.ConnectionPage, sio.Counts) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			page, err := nodes[0].Connections(ctx, everybody, "", 100)
			if err != nil || ctx.Err() != nil {
				t.Errorf("a page within %v: %v, %v", deadline, err, ctx.Err())
			}
			ctx, cancel = context.WithTimeout(t.Context(), deadline)
			defer cancel()
			counts, err := nodes[0].Count(ctx, everybody, sio.GroupNone)
			if err != nil || ctx.Err() != nil {
				t.Errorf("a count within %v: %v, %v", deadline, err, ctx.Err())
			}
			return page, counts
		}
		page, counts := ask(time.Second)
		if len(page.Connections) != 2 || !slices.Equal(page.Unreachable, []string{"n2"}) {
			t.Errorf("a page in a hurry: %d connections, %q", len(page.Connections), page.Unreachable)
		}
		if counts.Total != 2 || !slices.Equal(counts.Unreachable, []string{"n2"}) {
			t.Errorf("a count in a hurry: %+v", counts)
		}
		if s := nodes[0].Stats(); s.Unanswered != 2 || s.Alive != 2 {
			t.Errorf("%+v, want 2 requests unanswered", s)
		}
		page, counts = ask(10 * time.Second)
		if len(page.Connections) != 3 || page.Partial || counts.Total != 3 || counts.Partial {
			t.Errorf("with time: %d connections, %+v, %+v", len(page.Connections), page.Coverage, counts)
		}
		time.Sleep(5 * time.Second)
	})
}

// TestPagesSurviveANode: a listing goes on when the node that it stands at is gone.
func TestPagesSurviveANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3)
		want := map[string]bool{}
		for i, n := range nodes {
			for range 10 {
				_, id := n.connect("/", "")
				if i != 1 {
					want[id] = true
				}
			}
		}
		got := map[string]bool{}
		unreachable := map[string]bool{}
		for cursor, pages := "", 0; ; pages++ {
			if pages == 4 { // within the second node's
				memory.Cut("n1", "n2")
				memory.Cut("n2", "n1")
			}
			page, err := nodes[0].Connections(t.Context(), everybody, cursor, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page.Connections {
				if got[c.ID] {
					t.Errorf("%s is listed twice", c.ID)
				}
				got[c.ID] = true
			}
			for _, name := range page.Unreachable {
				unreachable[name] = true
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
		for id := range want {
			if !got[id] {
				t.Errorf("%s is not listed", id)
			}
		}
		if names := slices.Collect(maps.Keys(unreachable)); !slices.Equal(names, []string{"n2"}) {
			t.Errorf("unreachable: %q", names)
		}
	})
}
