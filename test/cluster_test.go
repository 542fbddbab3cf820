package test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/fanoutd/fanoutd/backend"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// clusterNode is one daemon of a cluster, and its API.
type clusterNode struct {
	daemon
	name     string
	flags    []string
	emitter  fanoutv1.EmitterServiceClient
	registry fanoutv1.RegistryServiceClient
	admin    fanoutv1.AdminServiceClient
}

// startNodes starts nodes n1, n2 and so on, which have met when it returns.
func startNodes(ctx context.Context, t *testing.T, path string, number int) []*clusterNode {
	t.Helper()
	listens := freeAddresses(t, number)
	return startNodesWith(ctx, t, path, listens, func(int) []string { return []string{"--cluster-peers=" + strings.Join(listens, ",")} })
}

// startNodesWith is startNodes for nodes that listen there for each other and have these
// settings besides.
func startNodesWith(ctx context.Context, t *testing.T, path string, listens []string, flags func(i int) []string) []*clusterNode {
	t.Helper()
	nodes := make([]*clusterNode, len(listens))
	for i, listen := range listens {
		nodes[i] = &clusterNode{name: fmt.Sprint("n", i+1)}
		nodes[i].flags = append([]string{"--node-name=" + nodes[i].name, "--cluster-listen=" + listen}, flags(i)...)
		nodes[i].start(ctx, t, path)
	}
	for _, n := range nodes {
		n.meets(ctx, t, len(nodes))
	}
	return nodes
}

// start runs the node's process.
func (n *clusterNode) start(ctx context.Context, t *testing.T, path string) {
	t.Helper()
	n.daemon = runDaemon(ctx, t, path, n.flags...)
	conn, err := grpc.NewClient(n.control, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	n.emitter, n.registry, n.admin = fanoutv1.NewEmitterServiceClient(conn), fanoutv1.NewRegistryServiceClient(conn), fanoutv1.NewAdminServiceClient(conn)
}

// meets waits until the node lists so many, all alive.
func (n *clusterNode) meets(ctx context.Context, t *testing.T, number int) {
	t.Helper()
	eventually(ctx, t, fmt.Sprintf("%s lists %d nodes, all alive", n.name, number), func() bool {
		res, err := n.admin.ListNodes(ctx, &fanoutv1.ListNodesRequest{})
		return err == nil && len(res.GetNodes()) == number &&
			!slices.ContainsFunc(res.GetNodes(), func(n *fanoutv1.ListNodesResponse_Node) bool {
				return n.GetState() != fanoutv1.ListNodesResponse_Node_ALIVE
			})
	})
}

var toEverybody = &fanoutv1.Target{All: true}

// emit sends an event to everybody, and waits until all nodes have it that answer.
func (n *clusterNode) emit(ctx context.Context, t *testing.T, event string) *fanoutv1.EmitResponse {
	t.Helper()
	res, err := n.emitter.Emit(ctx, &fanoutv1.EmitRequest{To: toEverybody, Event: event, Wait: fanoutv1.EmitRequest_APPLIED})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// ids lists everybody, by id, and who was unreachable, by name.
func (n *clusterNode) ids(ctx context.Context, t *testing.T) (ids, unreachable []string) {
	t.Helper()
	missing := map[string]bool{}
	for token := ""; ; {
		res, err := n.registry.ListConnections(ctx, &fanoutv1.ListConnectionsRequest{To: toEverybody, PageSize: 7, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range res.GetConnections() {
			ids = append(ids, c.GetId())
		}
		for _, name := range res.GetUnreachable() {
			missing[name] = true
		}
		if token = res.GetNextPageToken(); token == "" {
			slices.Sort(ids)
			return ids, slices.Sorted(maps.Keys(missing))
		}
	}
}

// expect checks what a node says while it reaches all but those of these names.
func (n *clusterNode) expect(ctx context.Context, t *testing.T, connections []string, unreachable ...string) {
	t.Helper()
	slices.Sort(connections)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	res := n.emit(ctx, t, "e")
	if int(res.GetMatched()) != len(connections) || !slices.Equal(sorted(res.GetUnreachable()), unreachable) || res.GetPartial() != (len(unreachable) > 0) {
		t.Errorf("%s: an emit: %v, want %d and %q", n.name, res, len(connections), unreachable)
	}
	ids, missing := n.ids(ctx, t)
	if !slices.Equal(ids, connections) || !slices.Equal(missing, unreachable) {
		t.Errorf("%s lists %d connections, %q unreachable, want %d, %q", n.name, len(ids), missing, len(connections), unreachable)
	}
	count, err := n.registry.CountConnections(ctx, &fanoutv1.CountConnectionsRequest{To: toEverybody})
	if err != nil || int(count.GetTotal()) != len(connections) || !slices.Equal(sorted(count.GetUnreachable()), unreachable) {
		t.Errorf("%s counts %v, %v", n.name, count, err)
	}
}

// sorted are these names in order: nodes name each other in any.
func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// suspects waits until the node suspects another.
func (n *clusterNode) suspects(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	eventually(ctx, t, n.name+" suspects "+name, func() bool {
		res, err := n.admin.ListNodes(ctx, &fanoutv1.ListNodesRequest{})
		return err == nil && slices.ContainsFunc(res.GetNodes(), func(o *fanoutv1.ListNodesResponse_Node) bool {
			return o.GetName() == name && o.GetState() == fanoutv1.ListNodesResponse_Node_SUSPECTED
		})
	})
}

// endsHeard are the ends that one consumer hears of.
type endsHeard struct {
	mu   sync.Mutex
	ends map[string]string // reasons, by connection
}

func (h *endsHeard) consume(ctx context.Context, t *testing.T, n *clusterNode) {
	t.Helper()
	h.ends = map[string]string{}
	client, err := backend.Dial(ctx, n.control, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := client.Consumer(backend.ConsumerOptions{Group: "g"})
	c.OnConnect(func(context.Context, *backend.Event) error { return nil })
	c.OnDisconnect(func(_ context.Context, e *backend.Event) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ends[e.ID] = e.Reason
		return nil
	})
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); _ = client.Close() })
	eventually(ctx, t, "the consumer is there", func() bool {
		res, err := n.admin.ListConsumers(ctx, &fanoutv1.ListConsumersRequest{})
		return err == nil && len(res.GetGroups()) == 1 && len(res.GetGroups()[0].GetConsumers()) == 1
	})
}

func (h *endsHeard) of(id string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ends[id]
}

// TestClusterNodeKilled: a node that is killed under load is named by the others, which
// go on; when it is back under its name its past is gone, and its connections have
// ended for the consumer at another node.
func TestClusterNodeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	path := binary(ctx, t)
	nodes := startNodes(ctx, t, path, 3)
	heard := &endsHeard{}
	heard.consume(ctx, t, nodes[0])
	var stay, lost []string
	for i, n := range nodes {
		for range 10 {
			b := openBrowser(ctx, t, n.listen)
			if i == 2 {
				lost = append(lost, b.id)
			} else {
				stay = append(stay, b.id)
			}
		}
	}
	for _, n := range nodes {
		eventually(ctx, t, n.name+" counts all", func() bool { return int(n.emit(ctx, t, "e").GetMatched()) == 30 })
		n.expect(ctx, t, append(slices.Clone(stay), lost...))
	}

	var emitted atomic.Int64
	loading, stop := context.WithCancel(ctx)
	var load sync.WaitGroup
	for _, n := range nodes[:2] {
		load.Go(func() {
			for loading.Err() == nil {
				res, err := n.emitter.Emit(loading, &fanoutv1.EmitRequest{To: toEverybody, Event: "load"})
				if loading.Err() != nil {
					return
				}
				if err != nil || res.GetMatched() != 10 {
					t.Errorf("an emit under load: %v, %v", res, err)
					return
				}
				emitted.Add(1)
			}
		})
	}
	defer load.Wait()
	defer stop()
	eventually(ctx, t, "there is load", func() bool { return emitted.Load() > 1000 })
	if err := syscall.Kill(nodes[2].pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-nodes[2].ended
	nodes[2].ended <- nil // it was meant
	for _, n := range nodes[:2] {
		n.suspects(ctx, t, "n3")
		n.expect(ctx, t, stay, "n3")
	}
	before := emitted.Load()
	eventually(ctx, t, "emits go on", func() bool { return emitted.Load() > before+1000 })

	nodes[2].start(ctx, t, path)
	for _, n := range nodes {
		n.meets(ctx, t, 3)
	}
	b := openBrowser(ctx, t, nodes[2].listen)
	for _, n := range nodes {
		eventually(ctx, t, n.name+" counts all", func() bool { return int(n.emit(ctx, t, "e").GetMatched()) == 21 })
		n.expect(ctx, t, append(slices.Clone(stay), b.id))
	}
	for _, id := range lost {
		eventually(ctx, t, "the end of "+id+" was told", func() bool { return heard.of(id) == "node lost" })
	}
	for _, id := range stay {
		if end := heard.of(id); end != "" {
			t.Errorf("%s, which stays, ended: %s", id, end)
		}
	}
}

// TestClusterNodeStopped: a node that stands still for seconds is named meanwhile, and
// one of them again when it goes on, with all its connections.
func TestClusterNodeStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	nodes := startNodes(ctx, t, binary(ctx, t), 2)
	var here, there []string
	for range 5 {
		here = append(here, openBrowser(ctx, t, nodes[0].listen).id)
		there = append(there, openBrowser(ctx, t, nodes[1].listen).id)
	}
	all := append(slices.Clone(here), there...)
	for _, n := range nodes {
		eventually(ctx, t, n.name+" counts all", func() bool { return int(n.emit(ctx, t, "e").GetMatched()) == 10 })
	}
	if err := syscall.Kill(nodes[1].pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	going := sync.OnceFunc(func() { _ = syscall.Kill(nodes[1].pid, syscall.SIGCONT) })
	defer going()
	nodes[0].suspects(ctx, t, "n2")
	nodes[0].expect(ctx, t, here, "n2")
	if _, err := nodes[0].registry.GetConnection(ctx, &fanoutv1.GetConnectionRequest{Id: there[0]}); err == nil || !strings.Contains(err.Error(), "n2") {
		t.Errorf("a connection of the node that stands still: %v", err)
	}
	going()
	for _, n := range nodes {
		n.meets(ctx, t, 2)
		eventually(ctx, t, n.name+" counts all", func() bool { return int(n.emit(ctx, t, "e").GetMatched()) == 10 })
		n.expect(ctx, t, slices.Clone(all))
	}
}

// TestClusterJoins: a join that one node has answered is in force for an emit at any
// other right afterwards: thousands of times, or with SOAK a hundred thousand.
func TestClusterJoins(t *testing.T) {
	if testing.Short() {
		t.Skip("makes thousands of calls; run without -short")
	}
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	nodes := startNodes(ctx, t, binary(ctx, t), 3)
	var ids []string
	for _, n := range nodes {
		ids = append(ids, openBrowser(ctx, t, n.listen).id)
	}
	for _, n := range nodes {
		eventually(ctx, t, n.name+" counts all", func() bool { return int(n.emit(ctx, t, "e").GetMatched()) == 3 })
	}
	joins := 3000
	if os.Getenv("SOAK") != "" {
		joins = 100_000
	}
	const callers = 8
	var calling sync.WaitGroup
	var missed atomic.Int64
	for caller := range callers {
		calling.Go(func() {
			for i := range joins / callers {
				room := fmt.Sprintf("room-%d-%d", caller, i)
				at, then, id := nodes[(i+caller)%3], nodes[(i/3+caller)%3], ids[(i/9)%3]
				join, err := at.registry.Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: []string{id}}, Rooms: []string{room}})
				if err != nil || join.GetAffected() != 1 || join.GetPartial() {
					t.Errorf("join %s: %v, %v", room, join, err)
					return
				}
				emit, err := then.emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{Rooms: []string{room}}, Event: "e", Wait: fanoutv1.EmitRequest_APPLIED})
				if err != nil || emit.GetPartial() {
					t.Errorf("emit to %s: %v, %v", room, emit, err)
					return
				}
				if emit.GetMatched() != 1 {
					missed.Add(1)
				}
				if _, err := then.registry.Leave(ctx, &fanoutv1.LeaveRequest{To: &fanoutv1.Target{Ids: []string{id}}, Rooms: []string{room}}); err != nil {
					t.Errorf("leave %s: %v", room, err)
					return
				}
			}
		})
	}
	calling.Wait()
	if n := missed.Load(); n > 0 {
		t.Errorf("%d of %d joins were not in force", n, joins)
	}
}
