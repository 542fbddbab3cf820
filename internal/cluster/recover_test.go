package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

func recovering(o *sio.Options) {
	o.RecoveryWindow = time.Minute
	o.Engine.PingTimeout = time.Minute
}

// returner is a client that comes back as the stock client does it, to any node.
type returner struct {
	t               *testing.T
	ws              *wiretest.WS
	id, pid, offset string
	recovered       bool
	heard           []string
}

// connect opens a session at a node and reads up to the reply to its CONNECT.
func (r *returner) connect(n *testNode) {
	r.t.Helper()
	r.ws = n.listener.MustDialWS(r.t, "EIO=4&transport=websocket")
	r.ws.Next() // open
	auth, _ := json.Marshal(map[string]string{"pid": r.pid, "offset": r.offset})
	if r.pid == "" {
		auth = nil
	}
	r.ws.Say("40" + string(auth))
	for {
		m := r.ws.Next()
		body, ok := strings.CutPrefix(m, "40")
		if !ok {
			r.note(m)
			continue
		}
		var o struct{ SID, PID string }
		if err := json.Unmarshal([]byte(body), &o); err != nil || o.PID == "" {
			r.t.Fatalf("CONNECT answered %q", m)
		}
		r.recovered = o.PID == r.pid
		r.id, r.pid = o.SID, o.PID
		break
	}
	n.admit.await(r.id)
}

// note notes an event, and its offset.
func (r *returner) note(m string) {
	r.t.Helper()
	var args []string
	err := json.Unmarshal([]byte(strings.TrimPrefix(m, "42")), &args)
	if err == nil && args[0] == "end" {
		return
	}
	if err != nil || len(args) != 2 {
		r.t.Fatalf("%q is no event with an offset: %v", m, err)
	}
	r.heard, r.offset = append(r.heard, args[0]), args[1]
}

func (r *returner) next() { r.t.Helper(); r.note(r.ws.Next()) }

func (r *returner) cut() {
	r.ws.Close()
	synctest.Wait()
}

// back comes back to a node as what it was, and checks what it missed.
func (r *returner) back(n *testNode, missed ...string) {
	r.t.Helper()
	id := r.id
	r.heard = nil
	r.connect(n)
	if !r.recovered || r.id != id {
		r.t.Fatalf("at %s: recovered %v, as %s, was %s", n.Self().Name, r.recovered, r.id, id)
	}
	if !slices.Equal(r.heard, missed) {
		r.t.Errorf("at %s: missed %q, want %q", n.Self().Name, r.heard, missed)
	}
}

func (n *testNode) emit(sel room.Selector, name string) sio.Result {
	n.t.Helper()
	return n.apply(sio.Emit{To: to(sel), Event: name, Applied: true})
}

// emitMuch has events of so many bytes together sent to everybody.
func (n *testNode) emitMuch(name string, size int) {
	n.t.Helper()
	const piece = 1 << 19
	args := []byte(`["` + strings.Repeat("x", piece) + `"]`)
	for range size / piece {
		n.apply(sio.Emit{To: everybody, Event: name, Args: args, Applied: true})
	}
}

func ids(id string) room.Selector { return room.Selector{IDs: []string{id}} }

func rooms(name string) room.Selector { return room.Selector{Rooms: []string{name}} }

// TestReturnElsewhere: a client that comes back to another node than it was cut off from
// is what it was, there, for every node; and again at the next.
func TestReturnElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 3, recovering)
		a, b, c := nodes[0], nodes[1], nodes[2]
		for _, n := range nodes {
			n.admit.admission = sio.Admission{User: "u", Rooms: []string{"granted"}, Data: map[string]any{"a": 1.0}}
		}
		r := &returner{t: t}
		r.connect(a)
		b.apply(sio.Join{To: to(ids(r.id)), Rooms: []string{"joined"}})
		c.apply(sio.Update{Namespace: "/", ID: r.id, Changes: sio.Changes{Data: map[string]any{"b": 2.0}}})
		b.emit(rooms("joined"), "first")
		r.next()
		r.cut()
		a.emit(rooms("granted"), "1")
		b.emit(rooms("joined"), "2")
		c.emit(ids(r.id), "3")
		b.emit(rooms("other"), "not")
		c.emit(room.Selector{All: true, Except: []string{"joined"}}, "not")
		b.emit(room.Selector{Users: []string{"u"}}, "4")
		c.emit(everybody.Selector, "5")
		r.back(b, "1", "2", "3", "4", "5")

		for _, n := range nodes {
			v, err := n.Connection(t.Context(), "/", r.id)
			if err != nil {
				t.Fatalf("%s: %v", n.Self().Name, err)
			}
			want := []string{r.id, "granted", "joined"}
			slices.Sort(want)
			if !slices.Equal(v.Rooms, want) || v.Node != "n2" || !v.Recovered() || v.UserID != "u" || fmt.Sprint(v.Data) != "map[a:1 b:2]" {
				t.Errorf("%s: %+v", n.Self().Name, v)
			}
			counts, err := n.Count(t.Context(), everybody, sio.GroupNone)
			if err != nil || counts.Total != 1 {
				t.Errorf("%s counts %+v, %v", n.Self().Name, counts, err)
			}
			if m := n.emit(ids(r.id), "to its id"); m.Matched != 1 || m.Partial {
				t.Errorf("%s: an emit to its id: %+v", n.Self().Name, m)
			}
			r.next()
			if m := n.apply(sio.Update{Namespace: "/", ID: r.id, Changes: sio.Changes{Data: map[string]any{"b": 2.0}}}); m.Matched != 1 {
				t.Errorf("%s: an update: %+v", n.Self().Name, m)
			}
		}

		r.cut()
		a.emit(ids(r.id), "6")
		r.back(c, "6")
		r.cut()
		r.back(a) // its own node
		a.emit(rooms("joined"), "7")
		r.next()
		c.apply(sio.Disconnect{To: to(ids(r.id))})
		r.ws.Next() // 41
		for _, n := range nodes {
			if _, err := n.Connection(t.Context(), "/", r.id); !errors.Is(err, sio.ErrNotFound) {
				t.Errorf("%s, after its end: %v", n.Self().Name, err)
			}
		}
		r.ws.Close()
	})
}

// TestReturnAfterShutdown: the clients of a node that shuts down come back to others, and
// what is sent meanwhile is kept.
func TestReturnAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 3, recovering)
		a, b, c := nodes[0], nodes[1], nodes[2]
		var clients []*returner
		for range 10 {
			r := &returner{t: t}
			r.connect(a)
			clients = append(clients, r)
		}
		b.emit(everybody.Selector, "before")
		for _, r := range clients {
			r.next()
		}
		if err := a.server.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m := c.emit(everybody.Selector, "while it is down"); m.Partial {
			t.Errorf("%+v", m)
		}
		for i, r := range clients {
			r.back(nodes[1+i%2], "while it is down")
		}
		if left := a.server.Offline(); left != 0 {
			t.Errorf("the node still keeps %d", left)
		}
		b.emit(everybody.Selector, "after")
		for _, r := range clients {
			r.next()
			r.ws.Close()
		}
	})
}

// TestNoReturn: where nobody can say what a client has missed, it is connected anew.
func TestNoReturn(t *testing.T) {
	for name, tt := range map[string]struct {
		why sio.Recovery
		do  func(memory *bus.Memory, nodes []*testNode, r *returner)
	}{
		"its node is dead": {sio.RecoveryNodeGone, func(memory *bus.Memory, nodes []*testNode, _ *returner) {
			memory.Cut("n1", "n2")
			memory.Cut("n1", "n3")
		}},
		"its node is long dead": {sio.RecoveryNodeGone, func(memory *bus.Memory, nodes []*testNode, _ *returner) {
			memory.Cut("n1", "n2")
			memory.Cut("n1", "n3")
			time.Sleep(10 * time.Minute)
		}},
		"a node does not say that what it sent has arrived": {sio.RecoveryNodeGone, func(memory *bus.Memory, _ []*testNode, _ *returner) {
			memory.Cut("n3", "n2")
			time.Sleep(10 * time.Second)
		}},
		"an offset that never was": {sio.RecoveryUnknownOffset, func(_ *bus.Memory, _ []*testNode, r *returner) { r.offset = "epoc1zzz" }},
		"another secret":           {sio.RecoveryUnknown, func(_ *bus.Memory, _ []*testNode, r *returner) { r.pid = r.pid[:len(r.pid)-1] + "-" }},
		"after the window":         {sio.RecoveryExpired, func(*bus.Memory, []*testNode, *returner) { time.Sleep(time.Minute) }},
		"after a Join": {sio.RecoveryChanged, func(_ *bus.Memory, nodes []*testNode, r *returner) {
			nodes[2].apply(sio.Join{To: to(ids(r.id)), Rooms: []string{"x"}})
		}},
		"after more than is kept": {sio.RecoveryEvicted, func(_ *bus.Memory, nodes []*testNode, _ *returner) {
			nodes[0].emitMuch("missed", 12<<20)
		}},
		"after more than is sent at once": {sio.RecoveryTooMuch, func(_ *bus.Memory, nodes []*testNode, _ *returner) {
			nodes[0].emitMuch("missed", 3<<20)
		}},
		"after a logout": {sio.RecoveryChanged, func(_ *bus.Memory, nodes []*testNode, r *returner) {
			nobody := ""
			_, err := nodes[2].Apply(context.Background(), sio.Update{Namespace: "/", ID: r.id, Changes: sio.Changes{User: &nobody}})
			if !errors.Is(err, sio.ErrNotFound) {
				r.t.Error(err)
			}
		}},
		"as another user": {sio.RecoveryOtherUser, func(_ *bus.Memory, nodes []*testNode, _ *returner) {
			nodes[1].admit.admission = sio.Admission{User: "v"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := bus.NewMemory()
				nodes := startNodes(t, memory, 3, recovering, func(o *sio.Options) { o.RecoveryBytes = 8 << 20 })
				r := &returner{t: t}
				r.connect(nodes[0])
				nodes[0].emit(everybody.Selector, "first")
				r.next()
				r.cut()
				tt.do(memory, nodes, r)
				id := r.id
				began := time.Now()
				r.heard = nil
				r.connect(nodes[1])
				if r.recovered || r.id == id || len(r.heard) > 0 {
					t.Errorf("recovered %v, heard %q", r.recovered, r.heard)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
				if v, err := nodes[1].server.Connection(t.Context(), "/", r.id); err != nil || v.Recovery != tt.why {
					t.Errorf("the new connection says %q, %v, want %q", v.Recovery, err, tt.why)
				}
				r.ws.Close()
			})
		})
	}
}

// TestReturnElsewhereAfterLogin: a client that comes back to another node belongs to who
// logged in, whoever asked for that, and is admitted as who it was before.
func TestReturnElsewhereAfterLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 3, recovering)
		r := &returner{t: t}
		r.connect(nodes[0])
		user := "42"
		nodes[1].apply(sio.Update{Namespace: "/", ID: r.id, Changes: sio.Changes{User: &user}})
		of := room.Selector{Users: []string{user}}
		for i := range 3 {
			r.cut()
			nodes[2].emit(of, fmt.Sprint("missed ", i))
			r.back(nodes[(i+1)%3], fmt.Sprint("missed ", i))
			if v, err := nodes[i].Connection(t.Context(), "/", r.id); err != nil || v.UserID != user {
				t.Errorf("whose it is: %q, %v", v.UserID, err)
			}
			if m := nodes[i].emit(of, "there"); m.Matched != 1 {
				t.Errorf("an emit to the user: %+v", m)
			}
			r.next()
		}
		r.cut()
		nobody := ""
		if m := nodes[2].apply(sio.UpdateAll{To: to(of), Changes: sio.Changes{User: &nobody}}); m.Matched != 0 || m.Partial {
			t.Errorf("a logout of who is away: %+v", m)
		}
		if r.connect(nodes[1]); r.recovered {
			t.Error("a logout is undone")
		}
		r.ws.Close()
	})
}

// TestReturnsUnderFire: clients are cut off and come back to any node, all the while
// events are sent by all nodes, over a bus that loses, doubles and delays. Each gets what
// each node sent, in order, and nothing twice or never, as long as it comes back as what
// it was. With SOAK, by more seeds.
func TestReturnsUnderFire(t *testing.T) {
	seeds := uint64(2)
	if os.Getenv("SOAK") != "" {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { returnsUnderFire(t, seed) }) })
	}
}

func returnsUnderFire(t *testing.T, seed uint64) {
	memory := bus.NewMemory()
	nodes := startNodes(t, memory, 3, recovering)
	for _, n := range nodes {
		n.admit.admission = sio.Admission{Rooms: []string{"r"}}
	}
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(seed, 1))
	roll := func(n int) int { mu.Lock(); defer mu.Unlock(); return dice.IntN(n) }
	memory.SetFaults(func(string, string, string, []byte) (v bus.Verdict) {
		switch roll(10) {
		case 0:
			v.Drop = true
		case 1:
			v.Double = true
		case 2:
			v.Delay = time.Duration(roll(300)) * time.Millisecond
		}
		return v
	})
	ctx, cancel := context.WithCancel(t.Context())
	const clients, senders = 6, 2
	all := make([]*returner, clients)
	for i := range all {
		all[i] = &returner{t: t}
		all[i].connect(nodes[i%3])
	}
	var sending, running sync.WaitGroup
	for i, n := range nodes {
		for s := range senders {
			sending.Go(func() {
				for number := 1; ctx.Err() == nil; number++ {
					event := fmt.Sprintf("n%d.%d %d", i+1, s, number)
					if r, err := n.Apply(context.Background(), sio.Emit{To: to(rooms("r")), Event: event, Applied: number%4 == 0}); err != nil || r.Partial {
						t.Errorf("%s: %+v, %v", event, r, err)
					}
					time.Sleep(time.Duration(roll(20)) * time.Millisecond)
				}
			})
		}
	}
	returns, anew := 0, 0
	for _, r := range all {
		running.Go(func() {
			last := map[string]int{}
			check := func() {
				for _, event := range r.heard {
					sender, text, _ := strings.Cut(event, " ")
					var number int
					fmt.Sscan(text, &number)
					if before, ok := last[sender]; ok && number != before+1 {
						t.Errorf("%s came after %d", event, before)
					}
					last[sender] = number
				}
				r.heard = nil
			}
			for ctx.Err() == nil {
				for range roll(60) {
					r.next()
				}
				check()
				r.ws.Close()
				time.Sleep(time.Duration(1+roll([]int{10, 2000}[roll(2)])) * time.Millisecond)
				r.connect(nodes[roll(3)])
				mu.Lock()
				returns++
				if !r.recovered {
					anew++
					clear(last)
					r.heard = nil
				}
				mu.Unlock()
				check()
			}
			r.ws.Close()
		})
	}
	time.Sleep(time.Minute)
	cancel()
	sending.Wait()
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	for waiting := true; waiting; { // somebody waits for an event yet
		nodes[0].apply(sio.Emit{To: to(rooms("r")), Event: "end", Volatile: true})
		select {
		case <-ended:
			waiting = false
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Logf("%d returns, %d of them as somebody new", returns, anew)
	if returns < 100 || anew > returns/4 {
		t.Errorf("%d returns, %d of them as somebody new: little is shown by that", returns, anew)
	}
}

// TestHandOver: a node that ends hands over the connections of clients that are away, while
// events are sent over a bus that loses, doubles and delays; so does the next, what it was
// handed too. Whoever comes back afterwards misses nothing.
func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3, recovering)
		for _, n := range nodes {
			n.admit.admission = sio.Admission{Rooms: []string{"r"}}
		}
		var mu sync.Mutex
		dice := rand.New(rand.NewPCG(1, 2))
		lost := map[[2]string]time.Time{}
		memory.SetFaults(func(from, to, _ string, _ []byte) (v bus.Verdict) {
			mu.Lock()
			defer mu.Unlock()
			switch way := [2]string{from, to}; dice.IntN(10) {
			case 0: // not twice in a second, which is as long as a node waits for another to confirm
				if time.Since(lost[way]) > time.Second {
					lost[way], v.Drop = time.Now(), true
				}
			case 1:
				v.Double = true
			case 2:
				v.Delay = time.Duration(dice.IntN(100)) * time.Millisecond
			}
			return v
		})
		number := 0
		send := func(n *testNode) {
			number++
			n.emit(rooms("r"), fmt.Sprint(number))
		}
		var clients []*returner
		for range 9 {
			r := &returner{t: t}
			r.connect(nodes[0])
			clients = append(clients, r)
		}
		for i, r := range clients { // each has heard another number of them, the first none
			for range i {
				r.next()
			}
			send(nodes[i%3])
		}
		for _, r := range clients {
			r.cut()
		}
		for i, ending := range nodes[:2] {
			sending, stop := context.WithCancel(t.Context())
			var sent sync.WaitGroup
			sent.Go(func() {
				for sending.Err() == nil {
					send(nodes[2])
					time.Sleep(20 * time.Millisecond)
				}
			})
			if err := ending.server.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := ending.HandOver(t.Context()); n < len(clients)-3 || ending.server.Offline() != 0 {
				t.Errorf("node %d handed over %d, and keeps %d", i+1, n, ending.server.Offline())
			}
			time.Sleep(time.Second)
			stop()
			sent.Wait()
			ending.stop()
			if i == 0 { // some come back in between
				for _, r := range clients[6:] {
					r.offset, r.heard = "", nil
					r.connect(nodes[2])
					if !r.recovered || len(r.heard) != number {
						t.Errorf("recovered %v, missed %d of %d", r.recovered, len(r.heard), number)
					}
					r.ws.Close()
				}
				synctest.Wait()
			}
		}
		for i, r := range clients[:6] {
			r.heard = nil
			r.connect(nodes[2])
			want := []string{}
			for n := i + 1; n <= number; n++ {
				want = append(want, fmt.Sprint(n))
			}
			if !r.recovered || !slices.Equal(r.heard, want) {
				t.Errorf("client %d: recovered %v, missed %q of %d", i, r.recovered, r.heard, number)
			}
			r.ws.Close()
		}
	})
}

// TestHandOverOfSomeNamespaces: a node that does not serve one namespace takes over the
// connections of the others.
func TestHandOverOfSomeNamespaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := startNodes(t, bus.NewMemory(), 2, recovering, func(o *sio.Options) {
			if o.Node == "n1" {
				o.Namespaces = []string{"/a", "/chat"}
			}
		})
		a, b := nodes[0], nodes[1]
		for _, namespace := range []string{"/a", "/chat"} {
			ws, _ := a.connect(namespace, "")
			ws.Close()
		}
		synctest.Wait()
		if err := a.server.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := a.HandOver(t.Context()); n != 1 || b.server.Offline() != 1 {
			t.Errorf("handed over %d, and the other keeps %d", n, b.server.Offline())
		}
	})
}
