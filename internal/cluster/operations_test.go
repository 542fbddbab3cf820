package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/room"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// TestEmitReachesPeers: what is emitted at one node reaches browsers of the others, in
// the order in which it was emitted, and nobody who is not meant.
func TestEmitReachesPeers(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 3)
	var clients []*wiretest.WS
	for i, n := range nodes {
		c, _ := n.connect("/", fmt.Sprint("u", i), "all", fmt.Sprint("only", i))
		clients = append(clients, c)
	}
	emit := func(sel room.Selector, event string) sio.Result {
		return nodes[0].apply(sio.Emit{To: to(sel), Event: event})
	}
	for i := range 50 {
		if r := emit(room.Selector{All: true}, fmt.Sprint("e", i)); r.Matched != 1 || r.Forwarded != 2 || r.Partial {
			t.Fatalf("to all: %+v", r)
		}
	}
	if r := emit(room.Selector{Rooms: []string{"only1"}}, "one"); r.Matched != 0 || r.Forwarded != 1 {
		t.Errorf("to a room that a peer alone has: %+v", r)
	}
	if r := emit(room.Selector{Users: []string{"u2"}}, "user"); r.Matched != 0 || r.Forwarded != 1 {
		t.Errorf("to a user whom a peer alone has: %+v", r)
	}
	if r := emit(room.Selector{Rooms: []string{"nobody"}}, "nobody"); r.Matched != 0 || r.Forwarded != 0 {
		t.Errorf("to a room that nobody has: %+v", r)
	}
	if r := nodes[0].apply(sio.Emit{To: to(room.Selector{All: true, Except: []string{"only1"}}), Event: "end", Applied: true}); r.Matched != 2 || r.Forwarded != 0 {
		t.Errorf("to all but one, applied: %+v", r)
	}
	emit(room.Selector{Rooms: []string{"all"}}, "last")
	for i, c := range clients {
		var got []string
		for m := c.Next(); m != `42["last"]`; m = c.Next() {
			got = append(got, m)
		}
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprintf(`42["e%d"]`, i))
		}
		want = append(want, [][]string{{`42["end"]`}, {`42["one"]`}, {`42["user"]`, `42["end"]`}}[i]...)
		if !slices.Equal(got, want) {
			t.Errorf("client %d got %q, want %q", i, got, want)
		}
	}
}

// TestIDsRoute: what is meant for one connection goes to the node that its id names,
// and what no node has is not found at once.
func TestIDsRoute(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 2)
	_, id := nodes[1].connect("/", "")
	ctx := t.Context()
	if _, err := nodes[0].Apply(ctx, sio.Update{Namespace: "/", ID: id, Changes: sio.Changes{Data: map[string]any{"k": "v"}}}); err != nil {
		t.Fatal(err)
	}
	c, err := nodes[0].Connection(ctx, "/", id)
	if err != nil || c.ID != id || c.Node != "n2" || c.Data["k"] != "v" {
		t.Errorf("the connection: %+v, %v", c, err)
	}
	for _, unknown := range []string{"none", "zzzzz" + id[EpochLength:], id[:EpochLength] + "xxxxxxxxxxxxxxx"} {
		if _, err := nodes[0].Connection(ctx, "/", unknown); !errors.Is(err, sio.ErrNotFound) {
			t.Errorf("Connection(%q): %v", unknown, err)
		}
		if _, err := nodes[0].Apply(ctx, sio.Update{Namespace: "/", ID: unknown}); !errors.Is(err, sio.ErrNotFound) {
			t.Errorf("Update of %q: %v", unknown, err)
		}
	}
	if r := nodes[0].apply(sio.Disconnect{To: to(room.Selector{IDs: []string{id}})}); r.Matched != 1 {
		t.Errorf("Disconnect: %+v", r)
	}
	if _, err := nodes[0].Connection(ctx, "/", id); !errors.Is(err, sio.ErrNotFound) {
		t.Errorf("after the Disconnect: %v", err)
	}
}

// TestJoinIsInForce: a join that one node has answered is in force for an emit at any
// other right afterwards, whoever holds the connection; and a leave likewise.
func TestJoinIsInForce(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 3)
	var ids []string
	for _, n := range nodes {
		_, id := n.connect("/", "")
		ids = append(ids, id)
	}
	random := rand.New(rand.NewPCG(1, 2))
	any := func() *testNode { return nodes[random.IntN(len(nodes))] }
	emit := func(name string) sio.Result {
		return any().apply(sio.Emit{To: to(room.Selector{Rooms: []string{name}}), Event: "e", Applied: true})
	}
	for i := range 2000 {
		name, id := fmt.Sprint("r", i), ids[random.IntN(len(ids))]
		one := to(room.Selector{IDs: []string{id}})
		if r := any().apply(sio.Join{To: one, Rooms: []string{name}}); r.Matched != 1 || r.Partial {
			t.Fatalf("join %d: %+v", i, r)
		}
		if r := emit(name); r.Matched != 1 || r.Partial {
			t.Fatalf("emit after join %d: %+v", i, r)
		}
		if r := any().apply(sio.Leave{To: one, Rooms: []string{name}}); r.Matched != 1 {
			t.Fatalf("leave %d: %+v", i, r)
		}
		if r := emit(name); r.Matched != 0 {
			t.Fatalf("emit after leave %d: %+v", i, r)
		}
	}
}

// TestConnectedIsInForce: when the backend hears of a connection, every node reaches
// its user and the rooms it was admitted to.
func TestConnectedIsInForce(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 2)
	results := make(chan sio.Result, 100)
	nodes[0].admit.connected = func(s *sio.Socket) {
		name := s.Connection().UserID
		for _, sel := range []room.Selector{{Users: []string{name}}, {Rooms: []string{"of " + name}}} {
			r, err := nodes[1].Apply(context.Background(), sio.Emit{To: to(sel), Event: "e", Applied: true})
			if err != nil {
				t.Error(err)
			}
			results <- r
		}
	}
	for i := range 50 {
		user := fmt.Sprint("u", i)
		nodes[0].connect("/", user, "of "+user)
		for range 2 {
			if r := <-results; r.Matched != 1 || r.Partial {
				t.Fatalf("connection %d: %+v", i, r)
			}
		}
	}
}

// answer has a client answer each event whose ack is wanted, as said; "" never does.
func answer(c *wiretest.WS, number int, say string) {
	m := c.Next()
	var id int
	if _, err := fmt.Sscanf(m, "42%d[", &id); err != nil {
		return
	}
	if say != "" {
		c.Say(fmt.Sprintf("43%d[%d,%q]", id, number, say))
	}
}

// TestAcksOfPeers: answers come from browsers of all nodes, each once; those who do not
// answer, or leave, are told of.
func TestAcksOfPeers(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 3)
	const each = 300 // more than one message of results
	for i, n := range nodes {
		for j := range each {
			c, _ := n.connect("/", "")
			go func() {
				switch {
				case j == 0:
					c.Next()
					c.Close() // Disconnected
				case j == 1:
					answer(c, i, "") // TimedOut
				default:
					answer(c, i, "yes")
				}
			}()
		}
	}
	seen := map[string]int{}
	summary, err := nodes[0].EmitWithAck(t.Context(), sio.AckRequest{
		Emit: sio.Emit{To: to(room.Selector{All: true}), Event: "e"}, Timeout: 3 * time.Second,
	}, func(r sio.AckResult) bool {
		seen[r.ConnectionID]++
		return true
	})
	want := sio.AckSummary{Expected: 3 * each, Answered: 3 * (each - 2), TimedOut: 3, Disconnected: 3}
	if err != nil || fmt.Sprint(summary) != fmt.Sprint(want) || len(seen) != 3*each {
		t.Errorf("%+v, %v, %d connections; want %+v", summary, err, len(seen), want)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s has %d outcomes", id, n)
		}
	}
}

// TestEnoughAcks: an emit that wants so many answers ends with them, and tells how many
// were asked; one that is canceled ends.
func TestEnoughAcks(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 2)
	for i, n := range nodes {
		for range 10 {
			c, _ := n.connect("/", "")
			go answer(c, i, "yes")
		}
	}
	request := sio.AckRequest{Emit: sio.Emit{To: to(room.Selector{All: true}), Event: "e"}, Timeout: time.Minute, MaxAcks: 5}
	answers := 0
	summary, err := nodes[0].EmitWithAck(t.Context(), request, func(sio.AckResult) bool { answers++; return true })
	if err != nil || answers != 5 || summary.Answered != 5 || summary.Expected != 20 || summary.Partial {
		t.Errorf("%+v, %v, %d answers", summary, err, answers)
	}
	ctx, cancel := context.WithCancel(t.Context())
	request.MaxAcks = 0
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := nodes[0].EmitWithAck(ctx, request, func(sio.AckResult) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	for _, n := range nodes { // nothing is left of it at either
		for _, p := range n.all() {
			for served := 1; served > 0; time.Sleep(time.Millisecond) {
				p.mu.Lock()
				served = len(p.served)
				p.mu.Unlock()
			}
		}
		n.requests.mu.Lock()
		if left := len(n.requests.pending); left > 0 {
			t.Errorf("%d requests are left", left)
		}
		n.requests.mu.Unlock()
	}
}

// TestAcksRefusedByAPeer: a peer that refuses to ask anybody says so at once, and why.
func TestAcksRefusedByAPeer(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 2, func(o *sio.Options) {
		if o.Node == "n1" {
			o.Namespaces = append(o.Namespaces, "/here")
		}
	})
	for _, p := range nodes[0].all() {
		p.interest.All() // it is asked, though it does not serve the namespace
	}
	c, _ := nodes[0].connect("/here", "")
	go func() {
		question := strings.TrimSuffix(c.Next(), `["e"]`)
		c.Say("43" + strings.TrimPrefix(question, "42") + `["yes"]`)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	summary, err := nodes[0].EmitWithAck(ctx, sio.AckRequest{
		Emit: sio.Emit{To: sio.Target{Namespace: "/here", Selector: room.Selector{All: true}}, Event: "e"}, Timeout: time.Minute,
	}, func(sio.AckResult) bool { return true })
	if err != nil || summary.Expected != 1 || summary.Answered != 1 || summary.Partial {
		t.Errorf("%+v, %v", summary, err)
	}
	peer := nodes[1].all()[0]
	peer.mu.Lock()
	for i := range uint64(maxServed) { // as many as are served at once
		peer.served[1e9+i] = &served{cancel: func() {}}
	}
	peer.mu.Unlock()
	_, err = nodes[0].EmitWithAck(ctx, sio.AckRequest{
		Emit: sio.Emit{To: to(room.Selector{Rooms: []string{"nobody is in it here"}}), Event: "e"}, Timeout: time.Minute,
	}, func(sio.AckResult) bool { return true })
	if !errors.Is(err, sio.ErrBusy) {
		t.Errorf("too busy: %v, want ErrBusy", err)
	}
	peer.mu.Lock()
	clear(peer.served)
	peer.mu.Unlock()
}
