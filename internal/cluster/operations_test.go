package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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

// byListener hears who asked for changes.
type byListener chan sio.Actor

func (byListener) Listens() bool { return true }

func (l byListener) Changed(c *sio.Change) { l <- c.By }

// TestActorIsTold: whose change it was is known at the node that has the connection.
func TestActorIsTold(t *testing.T) {
	told := make(byListener, 100)
	nodes := startNodes(t, bus.NewMemory(), 2, func(o *sio.Options) { o.ChangeListener = told })
	_, id := nodes[1].connect("/", "")
	<-told
	one, data := to(room.Selector{IDs: []string{id}}), map[string]any{"k": "v"}
	for _, op := range []sio.Op{
		sio.Join{To: one, Rooms: []string{"r"}, By: "join"}, sio.Leave{To: one, Rooms: []string{"r"}, By: "leave"},
		sio.Update{Namespace: "/", ID: id, Changes: sio.Changes{Data: data, By: "update"}},
		sio.UpdateAll{To: one, Changes: sio.Changes{Data: data, By: "update all"}}, sio.Disconnect{To: one, By: "disconnect"},
	} {
		nodes[0].apply(op)
	}
	for _, want := range []sio.Actor{"join", "leave", "update", "update all", "disconnect"} {
		if by := <-told; by != want {
			t.Errorf("a change by %q, want %q", by, want)
		}
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

// TestLoginIsInForce: a change of users that one node has answered is in force for an emit
// at any other right afterwards, whoever holds the connection, and for a list of users.
func TestLoginIsInForce(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 3)
	var ids []string
	for _, n := range nodes {
		_, id := n.connect("/", "")
		ids = append(ids, id)
	}
	random := rand.New(rand.NewPCG(1, 2))
	any := func() *testNode { return nodes[random.IntN(len(nodes))] }
	emit := func(user string) sio.Result {
		return any().apply(sio.Emit{To: to(room.Selector{Users: []string{user}}), Event: "e", Applied: true})
	}
	before := map[string]string{}
	for i := range 1000 {
		user, id := fmt.Sprint("u", i), ids[random.IntN(len(ids))]
		changes := sio.Changes{User: &user}
		var op sio.Op = sio.Update{Namespace: "/", ID: id, Changes: changes}
		if i%2 == 0 {
			op = sio.UpdateAll{To: to(room.Selector{IDs: []string{id}}), Changes: changes}
		}
		if r := any().apply(op); r.Matched != 1 || r.Partial {
			t.Fatalf("login %d: %+v", i, r)
		}
		if r := emit(user); r.Matched != 1 || r.Partial {
			t.Fatalf("emit after login %d: %+v", i, r)
		}
		if r := emit(before[id]); before[id] != "" && r.Matched != 0 {
			t.Fatalf("emit to who it was, %d: %+v", i, r)
		}
		before[id] = user
		page, err := any().Users(t.Context(), "/", user, "", 10)
		if err != nil || len(page.Names) != 1 && i > 99 || page.Names[0].Name != user {
			t.Fatalf("users after login %d: %+v, %v", i, page, err)
		}
	}
}

// TestLoginThatAPeerDoesNotConfirm is partial, and names it.
func TestLoginThatAPeerDoesNotConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := bus.NewMemory()
		nodes := startNodes(t, memory, 3)
		a, here := nodes[0].connect("/", "")
		b, there := nodes[1].connect("/", "")
		synctest.Wait()
		memory.Cut("n1", "n3")
		memory.Cut("n2", "n3")
		user := "u"
		for i, id := range []string{here, there} {
			for _, op := range []sio.Op{
				sio.Update{Namespace: "/", ID: id, Changes: sio.Changes{User: &user}},
				sio.UpdateAll{To: to(room.Selector{IDs: []string{id}}), Changes: sio.Changes{User: &user}},
			} {
				r := nodes[0].apply(op)
				if r.Matched != 1 || !r.Partial || !slices.Equal(r.Unreachable, []string{"n3"}) {
					t.Errorf("of node %d, %T: %+v", i+1, op, r)
				}
			}
		}
		a.Close()
		b.Close()
	})
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

// TestCall: a node calls its own connections, and leaves those that a peer may have to
// EmitWithAck.
func TestCall(t *testing.T) {
	nodes := startNodes(t, bus.NewMemory(), 2)
	c, id := nodes[0].connect("/", "")
	go answer(c, 0, "yes")
	request := func(id string) sio.AckRequest {
		return sio.AckRequest{Emit: sio.Emit{To: to(room.Selector{IDs: []string{id}}), Event: "e"}, Timeout: time.Minute}
	}
	outcome := make(chan sio.AckResult, 1)
	if _, err := nodes[0].Call(t.Context(), request(id), func(r sio.AckResult) { outcome <- r }); err != nil {
		t.Fatal(err)
	}
	if r := <-outcome; r.Outcome != sio.Answered || r.ConnectionID != id {
		t.Errorf("got %+v", r)
	}
	for what, tt := range map[string]struct {
		at   int
		id   string
		want error
	}{
		"a peer's": {1, id, sio.ErrElsewhere}, "nobody's": {0, "nobody", sio.ErrNotFound}, "one that was here": {0, epochOf(id) + "gone", sio.ErrNotFound},
	} {
		_, err := nodes[tt.at].Call(t.Context(), request(tt.id), func(r sio.AckResult) { t.Errorf("%s: outcome %+v", what, r) })
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", what, err, tt.want)
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
