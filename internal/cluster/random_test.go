package cluster

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/history"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// command is one of a random sequence: a call of one of the callers, or what becomes of
// the bus.
type command struct {
	caller int // two at each node
	what   int
	whom   int
	which  int
	pause  int // milliseconds until the caller's next
}

const (
	randomCallers = 6
	randomClients = 6
	randomRooms   = 3
)

func drawCommand(t *rapid.T) command {
	return command{
		caller: rapid.IntRange(0, randomCallers-1).Draw(t, "caller"),
		what:   rapid.IntRange(0, 11).Draw(t, "what"),
		whom:   rapid.IntRange(0, 4).Draw(t, "whom"),
		which:  rapid.IntRange(0, randomClients-1).Draw(t, "which"),
		pause:  rapid.IntRange(0, 100).Draw(t, "pause"),
	}
}

// TestRandom: whatever callers at three nodes ask for, in whatever order, over a bus that
// loses, doubles, delays and is cut, the history of it is as docs/cluster.md promises
// (1, 2 and 3). With SOAK, more of that.
func TestRandom(t *testing.T) {
	checks := "50"
	if os.Getenv("SOAK") != "" {
		checks = "2000"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		t.Fatal(err)
	}
	calls := 0
	rapid.Check(t, func(rt *rapid.T) {
		commands := rapid.SliceOfN(rapid.Custom(drawCommand), 50, 200).Draw(rt, "commands")
		seed := rapid.Uint64().Draw(rt, "faults")
		var findings []string
		synctest.Test(t, func(t *testing.T) {
			h := &history.History{}
			runRandom(t, h, commands, seed)
			calls += h.Calls()
			findings = h.Judge()
		})
		if len(findings) > 0 {
			rt.Fatalf("%s", strings.Join(findings, "\n"))
		}
	})
	if calls == 0 {
		t.Error("no calls")
	}
}

// randomRun is one sequence.
type randomRun struct {
	t       *testing.T
	h       *history.History
	memory  *bus.Memory
	nodes   []*testNode
	ids     []string
	reading sync.WaitGroup
}

func runRandom(t *testing.T, h *history.History, commands []command, seed uint64) {
	r := &randomRun{t: t, h: h, memory: bus.NewMemory()}
	r.nodes = startNodes(t, r.memory, 3)
	for i := range randomClients {
		r.connect(r.nodes[i%3], fmt.Sprint("u", i%2), fmt.Sprint("r", i%randomRooms))
	}
	synctest.Wait()
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(seed, 1))
	r.memory.SetFaults(func(string, string, string, []byte) (v bus.Verdict) {
		mu.Lock()
		defer mu.Unlock()
		switch dice.IntN(10) {
		case 0:
			v.Drop = true
		case 1:
			v.Double = true
		case 2:
			v.Delay = time.Duration(dice.IntN(200)) * time.Millisecond
		}
		return v
	})
	lists := make([][]command, randomCallers)
	for _, c := range commands {
		lists[c.caller] = append(lists[c.caller], c)
	}
	var calling sync.WaitGroup
	for caller, list := range lists {
		calling.Go(func() {
			for number, c := range list {
				r.do(caller, number, c)
				time.Sleep(time.Duration(c.pause) * time.Millisecond)
			}
		})
	}
	calling.Wait()
	r.memory.SetFaults(nil)
	for _, pair := range [][2]string{{"n1", "n2"}, {"n2", "n3"}, {"n3", "n1"}} {
		r.memory.Heal(pair[0], pair[1])
		r.memory.Heal(pair[1], pair[0])
	}
	settle()
	if got := r.nodes[0].apply(sio.Emit{To: everybody, Event: "end", Applied: true}); got.Matched != randomClients || got.Partial {
		t.Errorf("in the end: %+v", got)
	}
	r.reading.Wait()
}

// connect adds a client that notes what it receives until the event "end".
func (r *randomRun) connect(n *testNode, user string, rooms ...string) {
	ws, id := n.connect("/", user, rooms...)
	r.ids = append(r.ids, id)
	r.h.Connected(history.Connection{ID: id, Node: n.Self().Name, User: user, Rooms: append(rooms, id), Unconfirmed: n.confirm(r.t.Context(), nil)})
	r.reading.Go(func() { r.read(ws, id) })
}

func (r *randomRun) read(ws *wiretest.WS, id string) {
	for {
		event := strings.TrimSuffix(strings.TrimPrefix(ws.Next(), `42["`), `"]`)
		if event == "end" {
			return
		}
		r.h.Received(id, event)
	}
}

// do does a command of a caller's.
func (r *randomRun) do(caller, number int, c command) {
	n := r.nodes[caller%3]
	id, name, user := r.ids[c.which], fmt.Sprint("r", c.which%randomRooms), fmt.Sprint("u", c.which%2)
	one := room.Selector{IDs: []string{id}}
	call := history.Call{Caller: fmt.Sprint("c", caller), Node: n.Self().Name}
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	switch c.what {
	case 0, 1:
		call.Kind, call.IDs, call.Rooms = history.Join, one.IDs, []string{name}
		r.apply(ctx, n, &call, sio.Join{To: to(one), Rooms: call.Rooms})
	case 2:
		call.Kind, call.IDs, call.Rooms = history.Leave, one.IDs, []string{name}
		r.apply(ctx, n, &call, sio.Leave{To: to(one), Rooms: call.Rooms})
	case 3:
		call.Kind, call.Rooms = history.List, []string{name}
		began := r.h.Begin(call)
		page, err := n.Connections(ctx, to(rooms(name)), "", 1000)
		r.h.End(began, func(c *history.Call) {
			c.Failed, c.Unreachable, c.Partial = err != nil, page.Unreachable, page.Partial
			for _, x := range page.Connections {
				c.Listed = append(c.Listed, x.ID)
			}
		})
	case 4:
		if pair := [][2]string{{"n1", "n2"}, {"n2", "n3"}, {"n3", "n1"}}[c.which%3]; c.whom == 0 {
			r.memory.Cut(pair[0], pair[1])
			time.Sleep(5 * time.Second)
			r.memory.Heal(pair[0], pair[1])
		}
	case 5:
		if call.Kind, call.IDs, call.User = history.Login, one.IDs, fmt.Sprint("u", c.whom%3); call.User == "u2" {
			call.User = ""
		}
		r.apply(ctx, n, &call, sio.Update{Namespace: "/", ID: id, Changes: sio.Changes{User: &call.User}})
	default:
		sel := one
		switch c.whom {
		case 0:
			sel = room.Selector{All: true}
		case 1, 2:
			sel = rooms(name)
		case 3:
			sel = room.Selector{Users: []string{user}}
		}
		call.Kind, call.Event, call.Applied = history.Emit, fmt.Sprintf("c%d %d", caller, number), c.what%2 == 0
		call.All, call.IDs, call.Rooms, call.Users = sel.All, sel.IDs, sel.Rooms, sel.Users
		r.apply(ctx, n, &call, sio.Emit{To: to(sel), Event: call.Event, Applied: call.Applied})
	}
}

func (r *randomRun) apply(ctx context.Context, n *testNode, call *history.Call, op sio.Op) {
	began := r.h.Begin(*call)
	result, err := n.Apply(ctx, op)
	r.h.End(began, func(c *history.Call) {
		c.Failed, c.Matched, c.Forwarded, c.Partial, c.Unreachable = err != nil, result.Matched, result.Forwarded, result.Partial, result.Unreachable
	})
}
