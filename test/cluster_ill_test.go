package test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// question is a call that asks all nodes. It returns what it counts, and who is named as
// unreachable.
type question func(ctx context.Context, n *clusterNode) (count int, unreachable []string, err error)

// questions are the calls that count connections, each in its way. Every node of the
// test has as many.
var questions = map[string]question{
	"ListConnections": func(ctx context.Context, n *clusterNode) (int, []string, error) {
		res, err := n.registry.ListConnections(ctx, &fanoutv1.ListConnectionsRequest{To: toEverybody})
		return len(res.GetConnections()), res.GetUnreachable(), err
	},
	"CountConnections": func(ctx context.Context, n *clusterNode) (int, []string, error) {
		res, err := n.registry.CountConnections(ctx, &fanoutv1.CountConnectionsRequest{To: toEverybody})
		return int(res.GetTotal()), res.GetUnreachable(), err
	},
	"ListRooms": func(ctx context.Context, n *clusterNode) (count int, _ []string, _ error) {
		res, err := n.registry.ListRooms(ctx, &fanoutv1.ListRoomsRequest{})
		for _, r := range res.GetRooms() { // there is one for all
			count += int(r.GetConnections())
		}
		return count, res.GetUnreachable(), err
	},
	"Emit APPLIED": func(ctx context.Context, n *clusterNode) (int, []string, error) {
		res, err := n.emitter.Emit(ctx, &fanoutv1.EmitRequest{To: toEverybody, Event: "e", Wait: fanoutv1.EmitRequest_APPLIED})
		return int(res.GetMatched()), res.GetUnreachable(), err
	},
	"Emit ACCEPTED": func(ctx context.Context, n *clusterNode) (int, []string, error) {
		res, err := n.emitter.Emit(ctx, &fanoutv1.EmitRequest{To: toEverybody, Event: "e"})
		// The others are known by the nodes that they are at.
		return int(res.GetMatched() * (1 + res.GetForwarded())), res.GetUnreachable(), err
	},
	"EmitWithAck": func(ctx context.Context, n *clusterNode) (int, []string, error) {
		stream, err := n.emitter.EmitWithAck(ctx, &fanoutv1.EmitWithAckRequest{
			Emit: &fanoutv1.EmitRequest{To: toEverybody, Event: "e"}, Timeout: durationpb.New(callTime / 4),
		})
		for err == nil {
			var res *fanoutv1.EmitWithAckResponse
			if res, err = stream.Recv(); res.GetSummary() != nil {
				return int(res.GetSummary().GetAcked()), res.GetSummary().GetUnreachable(), nil
			}
		}
		return 0, nil, err
	},
}

// illness is what may be wrong with the third node of a cluster.
type illness struct {
	name       string
	begin, end func(c *illCluster)
	// meanwhile is done while questions are asked. May be nil.
	meanwhile func(c *illCluster)
	// unreached are the nodes that a node does not reach, by number. Who is not in it cannot
	// be asked.
	unreached map[int][]string
}

var illnesses = []illness{
	{
		name: "hears nobody",
		begin: func(c *illCluster) {
			c.routes.cut(c.t, 0, 2)
			c.routes.cut(c.t, 1, 2)
		},
		end:       func(c *illCluster) { c.routes.heal(c.ctx) },
		unreached: map[int][]string{0: {"n3"}, 1: {"n3"}, 2: {"n1", "n2"}},
	},
	{
		name: "is heard by nobody",
		begin: func(c *illCluster) {
			c.routes.cut(c.t, 2, 0)
			c.routes.cut(c.t, 2, 1)
		},
		end:       func(c *illCluster) { c.routes.heal(c.ctx) },
		unreached: map[int][]string{0: {"n3"}, 1: {"n3"}, 2: {"n1", "n2"}},
	},
	{
		name:      "does not hear one of those that hear it",
		begin:     func(c *illCluster) { c.routes.cut(c.t, 0, 2) },
		end:       func(c *illCluster) { c.routes.heal(c.ctx) },
		unreached: map[int][]string{0: {"n3"}, 1: nil, 2: {"n1"}},
	},
	{
		name: "hears and is heard after 2 s",
		begin: func(c *illCluster) {
			for _, other := range []int{0, 1} {
				c.routes.delay(c.t, other, 2, 2*time.Second)
				c.routes.delay(c.t, 2, other, 2*time.Second)
			}
		},
		end:       func(c *illCluster) { c.routes.heal(c.ctx) },
		unreached: map[int][]string{0: {"n3"}, 1: {"n3"}, 2: {"n1", "n2"}},
	},
	{
		name:      "stands still",
		begin:     func(c *illCluster) { c.signal(syscall.SIGSTOP) },
		end:       func(c *illCluster) { c.signal(syscall.SIGCONT) },
		unreached: map[int][]string{0: {"n3"}, 1: {"n3"}},
	},
	{
		name: "is killed and starts again at once",
		begin: func(c *illCluster) {
			c.signal(syscall.SIGKILL)
			<-c.nodes[2].ended
			c.nodes[2].ended <- nil // it was meant
			c.there["n3"] = 0
		},
		meanwhile: func(c *illCluster) { c.nodes[2].start(c.ctx, c.t, c.path) },
		end:       func(c *illCluster) { c.open(c.nodes[2]) },
		unreached: map[int][]string{0: {"n3"}, 1: {"n3"}},
	},
}

// illCluster are three nodes with connections, one of which may be ill.
type illCluster struct {
	t      *testing.T
	ctx    context.Context
	path   string
	nodes  []*clusterNode
	routes *routes
	there  map[string]int // connections, by node
}

// perNode is how many connections a node has.
const perNode = 2

// open opens a node's connections.
func (c *illCluster) open(n *clusterNode) {
	c.t.Helper()
	for range perNode {
		l := listen(c.ctx, c.t, n)
		res, err := n.registry.Join(c.ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: []string{l.id}}, Rooms: []string{"all"}})
		if err != nil || res.GetAffected() != 1 {
			c.t.Fatalf("a join: %v, %v", res, err)
		}
	}
	c.there[n.name] = perNode
}

func (c *illCluster) signal(s syscall.Signal) {
	c.t.Helper()
	if err := syscall.Kill(c.nodes[2].pid, s); err != nil {
		c.t.Fatal(err)
	}
}

// least is how many connections nodes have that are not named, at least.
func (c *illCluster) least(unreachable []string) (count int) {
	for name, connections := range c.there {
		if !slices.Contains(unreachable, name) {
			count += connections
		}
	}
	return count
}

// ask asks a question until the answer is as done says. Each answer comes within its
// deadline, counts all connections of the nodes that it does not name, and names none but
// these.
func (c *illCluster) ask(about string, n *clusterNode, q question, names []string, done func(unreachable []string) bool) {
	for {
		call, cancel := context.WithTimeout(c.ctx, callTime)
		count, unreachable, err := q(call, n)
		cancel()
		switch {
		case c.ctx.Err() != nil:
			c.t.Errorf("%s: in vain until the test ended, with %q unreachable at last", about, unreachable)
			return
		case err != nil:
			c.t.Errorf("%s: %v", about, err)
			return
		case slices.ContainsFunc(unreachable, func(u string) bool { return !slices.Contains(names, u) }):
			c.t.Errorf("%s: %q unreachable, want none but %q", about, unreachable, names)
			return
		case count < c.least(unreachable) || count > perNode*len(c.nodes): // one that is named may have told in time
			c.t.Errorf("%s: %d connections, with %q unreachable", about, count, unreachable)
			return
		case done(unreachable):
			return
		}
		select { // the machine has other things to do
		case <-time.After(20 * time.Millisecond):
		case <-c.ctx.Done():
		}
	}
}

// askAll has nodes asked all questions, as ask does, and returns what waits for the end of
// that.
func (c *illCluster) askAll(about string, names map[int][]string, done func(names, unreachable []string) bool) (wait func()) {
	var asking sync.WaitGroup
	for i, names := range names {
		n := c.nodes[i]
		for name, q := range questions {
			asking.Go(func() {
				c.ask(fmt.Sprintf("%s: %s at %s", about, name, n.name), n, q, names, func(unreachable []string) bool { return done(names, unreachable) })
			})
		}
	}
	return asking.Wait
}

// TestClusterIllNode: whatever is wrong with a node, the others answer within their
// deadlines, and name it if they lack what it has. When that is over, everything is
// answered in full again, by itself. With SOAK, each illness lasts for 20 s at least.
func TestClusterIllNode(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	t.Parallel() // it mostly waits
	length, limit := time.Duration(0), 3*time.Minute
	if os.Getenv("SOAK") != "" {
		length, limit = 20*time.Second, 10*time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := &illCluster{t: t, ctx: ctx, path: binary(ctx, t), there: map[string]int{}}
	c.nodes, c.routes = startRoutedNodes(ctx, t, c.path, 3)
	for _, n := range c.nodes {
		c.open(n)
	}
	everywhere := map[int][]string{0: {"n2", "n3"}, 1: {"n1", "n3"}, 2: {"n1", "n2"}}
	inFull := func(_, unreachable []string) bool { return len(unreachable) == 0 }
	c.askAll("at first", everywhere, inFull)()
	for _, i := range illnesses {
		c.pass(&i, length)
		c.askAll("after: "+i.name, everywhere, inFull)()
		if t.Failed() {
			return
		}
	}
}

// pass has the cluster ill for so long at least, and asks meanwhile.
func (c *illCluster) pass(i *illness, length time.Duration) {
	began := time.Now()
	i.begin(c)
	defer i.end(c)            // also if this fails: a process that stands still would not end
	var meanwhile atomic.Bool // or nothing is to be done
	meanwhile.Store(i.meanwhile == nil)
	wait := c.askAll(i.name, i.unreached, func(names, unreachable []string) bool {
		// A node that is back at once is named by those only who had asked its past.
		named := slices.Equal(sorted(unreachable), names) || i.meanwhile != nil
		return named && meanwhile.Load() && time.Since(began) >= length
	})
	if i.meanwhile != nil {
		i.meanwhile(c)
		meanwhile.Store(true)
		wait()
		return
	}
	wait()
	for node, names := range i.unreached {
		for _, name := range names {
			c.nodes[node].suspects(c.ctx, c.t, name)
		}
	}
}
