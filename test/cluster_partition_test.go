package test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/backend"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// said is what a group hears of what browsers say, by any of its members.
type said struct {
	mu     sync.Mutex
	latest map[string]int    // numbers, by connection
	missed int               // numbers that were left out
	ends   map[string]string // reasons, by connection
}

func newSaid() *said { return &said{latest: map[string]int{}, ends: map[string]string{}} }

// consume has one more member of the group at a node.
func (s *said) consume(ctx context.Context, t *testing.T, n *clusterNode, group string) {
	t.Helper()
	client, err := backend.Dial(ctx, n.control, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := client.Consumer(backend.ConsumerOptions{Group: group, ID: group + " at " + n.name})
	c.On("say", s.say)
	c.OnConnect(func(context.Context, *backend.Event) error { return nil })
	c.OnDisconnect(func(_ context.Context, e *backend.Event) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ends[e.ID] = e.Reason
		return nil
	})
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); _ = client.Close() })
}

// say takes an event. It may be told again.
func (s *said) say(_ context.Context, e *backend.Event) (backend.Reply, error) {
	var number int
	if err := e.Args.Decode(&number); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed += max(0, number-s.latest[e.ID]-1)
	s.latest[e.ID] = max(s.latest[e.ID], number)
	return nil, nil
}

// left returns how many numbers were left out.
func (s *said) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missed
}

// of returns the latest number of a connection, and how it ended.
func (s *said) of(id string) (latest int, end string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest[id], s.ends[id]
}

// partition is a cluster of three under load, whose first node is to be cut off from the
// others.
type partition struct {
	nodes     []*clusterNode
	routes    *routes
	listeners []*listener
	callers   []*caller
	alone     *said // by a group with a member at the first node
	shared    *said // by a group with one at the first and one at the second

	stop    context.CancelFunc // ends the load
	loading sync.WaitGroup
}

func startPartition(ctx context.Context, t *testing.T) *partition {
	t.Helper()
	p := &partition{alone: newSaid(), shared: newSaid(), stop: func() {}}
	p.nodes, p.routes = startRoutedNodes(ctx, t, binary(ctx, t), 3)
	p.alone.consume(ctx, t, p.nodes[0], "alone")
	p.shared.consume(ctx, t, p.nodes[0], "shared")
	p.shared.consume(ctx, t, p.nodes[1], "shared")
	for _, n := range p.nodes {
		eventually(ctx, t, "the consumers are there", func() bool {
			res, err := n.admin.ListConsumers(ctx, &fanoutv1.ListConsumersRequest{})
			if err != nil {
				return false
			}
			members := 0
			for _, g := range res.GetGroups() {
				members += len(g.GetConsumers())
			}
			return members == 3
		})
	}
	for _, n := range p.nodes {
		for range 3 {
			p.listeners = append(p.listeners, listen(ctx, t, n))
		}
	}
	to := []*fanoutv1.Target{toEverybody, {Rooms: []string{"all"}}, {Ids: p.ids()}}
	join, err := p.nodes[0].registry.Join(ctx, &fanoutv1.JoinRequest{To: toEverybody, Rooms: []string{"all"}})
	if err != nil || int(join.GetAffected()) != len(p.listeners) || join.GetPartial() {
		t.Fatalf("a join of everybody: %v, %v", join, err)
	}
	for _, n := range p.nodes[:2] {
		p.callers = append(p.callers,
			&caller{node: n, name: n.name + " accepted ", to: to},
			&caller{node: n, name: n.name + " applied ", to: to, wait: fanoutv1.EmitRequest_APPLIED})
	}
	t.Cleanup(func() { p.unload() })
	return p
}

// load has callers emit and browsers talk.
func (p *partition) load(ctx context.Context, t *testing.T) {
	ctx, p.stop = context.WithCancel(ctx)
	for _, c := range p.callers {
		p.loading.Go(func() { c.run(ctx, t) })
	}
	for _, l := range p.listeners {
		p.loading.Go(func() { l.talk(ctx) })
	}
}

// unload ends the load, when each call has its answer.
func (p *partition) unload() { p.stop(); p.loading.Wait() }

// goesOn waits until each caller has emitted some more.
func (p *partition) goesOn(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, c := range p.callers {
		before := c.number()
		eventually(ctx, t, c.name+"emits", func() bool { return t.Failed() || c.number() >= before+50 })
	}
}

// ids are those of the connections of some nodes; without any, of all.
func (p *partition) ids(nodes ...*clusterNode) (ids []string) {
	for _, l := range p.listeners {
		if len(nodes) == 0 || slices.Contains(nodes, l.node) {
			ids = append(ids, l.id)
		}
	}
	return ids
}

// cut cuts the first node off from the others, and waits until both sides know.
func (p *partition) cut(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, other := range []int{1, 2} {
		p.routes.cut(t, 0, other)
		p.routes.cut(t, other, 0)
	}
	p.nodes[0].suspects(ctx, t, "n2")
	p.nodes[0].suspects(ctx, t, "n3")
	p.nodes[1].suspects(ctx, t, "n1")
	p.nodes[2].suspects(ctx, t, "n1")
}

// heal ends that, and waits until there is one cluster.
func (p *partition) heal(ctx context.Context, t *testing.T) {
	t.Helper()
	p.routes.heal(ctx)
	for _, n := range p.nodes {
		n.meets(ctx, t, 3)
		eventually(ctx, t, n.name+" counts all", func() bool { return int(n.emit(ctx, t, "e").GetMatched()) == len(p.listeners) })
	}
	for _, n := range p.nodes {
		n.expect(ctx, t, p.ids())
	}
}

// judge waits until everything has arrived, and compares it with what callers were
// answered, and others by the same nodes before.
func (p *partition) judge(ctx context.Context, t *testing.T, emits ...emitted) (untold map[string]int) {
	t.Helper()
	p.unload()
	for _, c := range p.callers {
		// The last is an emit that all receive: nothing of this caller comes after it.
		answer, err := c.node.emitter.Emit(ctx, &fanoutv1.EmitRequest{
			To: toEverybody, Event: "numbered", ArgsJson: fmt.Sprintf("[%q,%d]", c.name, c.number()+1), Wait: c.wait,
		})
		if err != nil || answer.GetPartial() {
			t.Fatalf("the last emit: %v, %v", answer, err)
		}
		for _, l := range p.listeners {
			eventually(ctx, t, l.id+" has all of "+c.name, func() bool { return l.has(c.name, c.number()+1) })
		}
		emits = append(emits, c.emits...)
	}
	var connections []heardBy
	for _, l := range p.listeners {
		connections = append(connections, l.heard())
		for name, s := range map[string]*said{"alone": p.alone, "shared": p.shared} {
			eventually(ctx, t, name+" hears all of "+l.id, func() bool { latest, _ := s.of(l.id); return latest == l.saidSoFar() })
		}
	}
	if n := p.shared.left(); n > 0 {
		t.Errorf("a group with members on both sides was not told %d things", n)
	}
	faults, untold := judge(emits, connections)
	for i, f := range faults {
		if i == 20 {
			t.Errorf("and %d more", len(faults)-i)
			break
		}
		t.Error(f)
	}
	return untold
}

// TestClusterPartition: while one of three nodes is cut off, each side serves its own and
// says whom it does not reach; healed, it is one registry. Every emit reached whom its
// answer says, and every loss was told.
func TestClusterPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p := startPartition(ctx, t)
	a, b, c := p.nodes[0], p.nodes[1], p.nodes[2]
	p.heal(ctx, t) // nothing is ill: they know each other
	p.load(ctx, t)
	p.goesOn(ctx, t)
	p.cut(ctx, t)
	a.expect(ctx, t, p.ids(a), "n2", "n3")
	b.expect(ctx, t, p.ids(b, c), "n1")
	c.expect(ctx, t, p.ids(b, c), "n1")
	for _, n := range []*clusterNode{a, b} {
		own := p.ids(n)[:1]
		join, err := n.registry.Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: own}, Rooms: []string{"meanwhile"}})
		if err != nil || join.GetAffected() != 1 || !join.GetPartial() {
			t.Errorf("%s: a join of its own: %v, %v", n.name, join, err)
		}
	}
	join, err := a.registry.Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: p.ids(c)[:1]}, Rooms: []string{"beyond"}})
	if err != nil || join.GetAffected() != 0 || !slices.Equal(sorted(join.GetUnreachable()), []string{"n2", "n3"}) {
		t.Errorf("a join of a connection beyond the cut: %v, %v", join, err)
	}
	p.goesOn(ctx, t)
	p.heal(ctx, t)
	p.goesOn(ctx, t)
	for node, untold := range p.judge(ctx, t) {
		if untold > 0 {
			t.Errorf("%d emits at %s were received not everywhere, and nobody was told", untold, node)
		}
	}
	for _, n := range p.nodes {
		res, err := n.emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{"meanwhile"}}, Event: "e", Wait: fanoutv1.EmitRequest_APPLIED})
		if err != nil || res.GetMatched() != 2 || res.GetPartial() {
			t.Errorf("%s: an emit to the room that was joined meanwhile: %v, %v", n.name, res, err)
		}
	}
	p.wholeForAll(t)
	p.counted(t)
	for _, c := range p.callers {
		if n := c.partial(); n == 0 || n == c.number() {
			t.Errorf("%s: %d of %d emits were partial: nothing is shown by that", c.name, n, c.number())
		}
	}
}

// wholeForAll checks that consumers were told everything, and of no end.
func (p *partition) wholeForAll(t *testing.T) {
	t.Helper()
	if n := p.alone.left(); n > 0 {
		t.Errorf("a group with a member on one side was not told %d things", n)
	}
	for _, l := range p.listeners {
		for _, s := range []*said{p.alone, p.shared} {
			if _, end := s.of(l.id); end != "" {
				t.Errorf("%s, which stays, ended: %s", l.id, end)
			}
		}
	}
}

// counted compares what callers were told with what nodes count. Nothing is lost.
func (p *partition) counted(t *testing.T) {
	t.Helper()
	for _, n := range p.nodes[:2] {
		told := 0
		for _, c := range p.callers {
			for _, e := range c.emits {
				if e.node == n.name {
					told += len(e.answer.GetUnreachable())
				}
			}
		}
		m := metrics(t, n.daemon)
		refused, unanswered := int(m["fanoutd_node_messages_refused_total"]), int(m["fanoutd_node_requests_unanswered_total"])
		if refused+unanswered < told {
			t.Errorf("%s has told %d times that a node was not reached, and counts %d messages refused and %d requests unanswered", n.name, told, refused, unanswered)
		}
		if lost := m["fanoutd_node_messages_lost_total"]; lost > 0 {
			t.Errorf("%s counts %v messages lost, want none", n.name, lost)
		}
		t.Logf("%s: told %d times, %d messages refused, %d requests unanswered, %v packets repaired", n.name, told, refused, unanswered,
			m["fanoutd_node_packets_repaired_total"])
	}
}

// TestClusterPartitionForLong: a node that was cut off for more than a minute is gone for
// the others, and they for it: nobody names them, and consumers are told the ends of their
// connections. Healed, it is one registry all the same.
func TestClusterPartitionForLong(t *testing.T) {
	if os.Getenv("SOAK") == "" {
		t.Skip("waits for more than a minute; run with SOAK=1")
	}
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	p := startPartition(ctx, t)
	a, b, c := p.nodes[0], p.nodes[1], p.nodes[2]
	p.heal(ctx, t) // nothing is ill: they know each other
	p.load(ctx, t)
	p.goesOn(ctx, t)
	p.cut(ctx, t)
	p.unload() // what is emitted once the others are gone is not for them, and nobody is told
	a.meets(ctx, t, 1)
	b.meets(ctx, t, 2)
	c.meets(ctx, t, 2)
	a.expect(ctx, t, p.ids(a))
	b.expect(ctx, t, p.ids(b, c))
	c.expect(ctx, t, p.ids(b, c))
	for _, l := range p.listeners {
		if l.node != a {
			eventually(ctx, t, "the end of "+l.id+" is told", func() bool { _, end := p.alone.of(l.id); return end == "node lost" })
		} else if _, end := p.alone.of(l.id); end != "" {
			t.Errorf("%s, which stays, ended: %s", l.id, end)
		}
	}
	p.heal(ctx, t)
	p.load(ctx, t)
	p.goesOn(ctx, t)
	untold := p.judge(ctx, t)
	// A group that has nobody on the other side is forgotten there after a minute.
	dropped := 0
	for _, n := range p.nodes {
		dropped += int(metrics(t, n.daemon)["fanoutd_deliveries_dropped_total"])
	}
	if missed := p.alone.left(); missed > dropped {
		t.Errorf("a group with a member on one side was not told %d things, and %d are counted", missed, dropped)
	}
	lost := 0
	for _, n := range p.nodes[:2] {
		lost += untold[n.name]
		if got := int(metrics(t, n.daemon)["fanoutd_node_messages_lost_total"]); got < untold[n.name] {
			t.Errorf("%s counts %d messages lost, and %d emits were", n.name, got, untold[n.name])
		}
	}
	if lost == 0 {
		t.Error("no emit was on its way to a node that was given up: nothing is shown by that")
	}
}
