package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/idempotency"
)

const (
	soakDuration = 5 * time.Second // of `make test`
	// soakWindow is the least time in which a client may come back.
	soakWindow = 2 * time.Minute
	// soakWarmUp is how long the first run is at most, whose leftovers the second one's are
	// compared with: so long that as much is kept for those who could come back as ever is.
	// The tables that have it do not shrink.
	soakWarmUp = soakWindow + time.Minute
	// soakGrowth is by how much what is live may grow, in bytes, once the recovery window is
	// over: why 50,000 connections cannot be come back to is 3 MiB, which the first run does not
	// fill, and tables do not shrink; after 6, 14 and 60 minutes it was 57.4, 57.6 and 58.9 MiB.
	// soakKept is what may still be kept for those who could come back before that.
	soakGrowth = 10 << 20
	soakKept   = 16 << 20

	soakClients  = 60
	soakVisitors = 4
	soakCrowd    = 10 // browsers that send to consumers, at once
	// soakPause is between two of everything that is done now and then.
	soakPause = 50 * time.Millisecond
	// soakStay is how long a node that has started stays.
	soakStay = 10 * time.Second
)

// TestMixed does everything at once, to two nodes: clients stay, are cut off and come back,
// and are sent numbered events, to all and to a room; others come and go by each transport;
// some do not read; the workers of a group crash and hang; rooms are joined and left; and one
// node is drained and started again, over and over. Of what was sent nothing is lost, nothing
// comes twice or overtakes; and when all have gone, the node that stayed holds no more than
// after the first run. It takes seconds; with $SOAK_TIME that long, and nine minutes
// more: SOAK_TIME=5m go test -run Mixed -timeout=0 -v ./test
func TestMixed(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for seconds; run without -short")
	}
	duration, long := soakDuration, false
	if s := os.Getenv("SOAK_TIME"); s != "" {
		var err error
		if duration, err = time.ParseDuration(s); err != nil {
			t.Fatalf("$SOAK_TIME: %v", err)
		}
		long = true
	}
	if !long {
		t.Parallel() // beside others that mostly wait
	}
	needFiles(t, 2000)
	ctx, cancel := context.WithTimeout(t.Context(), 2*duration+15*time.Minute)
	defer cancel()
	m := startMixed(ctx, t)
	growth, patience := int64(soakKept), comePatience
	if long {
		growth, patience = soakGrowth, soakWindow+time.Minute
	}
	if long {
		m.fillKeys(ctx, t)
	}
	m.run(ctx, t, min(duration/3, soakWarmUp))
	start := m.rest(ctx, t, patience, nil)
	t.Logf("after the first run: %v", start)
	m.run(ctx, t, duration)
	gone := func(is leftover) bool {
		return is.goroutines <= start.goroutines+comeGoroutines && is.files <= start.files+comeFiles && is.live <= start.live+growth
	}
	end := m.rest(ctx, t, patience, gone)
	t.Logf("after the second one: %v", end)
	if !gone(end) {
		t.Errorf("after %v there are %v; after the first run there were %v", duration, end, start)
		t.Logf("its goroutines:\n%s", get(t, "http://"+m.stays.ops+"/debug/pprof/goroutine?debug=1"))
	}
}

// mixed is two nodes, the second of which is drained again and again.
type mixed struct {
	path  string
	nodes *rolling
	stays *clusterNode
	front *balancer
	runs  int
}

func startMixed(ctx context.Context, t *testing.T) *mixed {
	t.Helper()
	m := &mixed{path: binary(ctx, t), front: startBalancer(t)}
	listens := freeAddresses(t, 2)
	nodes := startNodesWith(ctx, t, m.path, listens, func(int) []string {
		return []string{
			"--cluster-peers=" + strings.Join(listens, ","), "--recovery-window=" + soakWindow.String(), "--drain-time=1s",
			"--max-queue=65536", "--recovery-bytes=268435456", "--namespaces=/,/crowd",
		}
	})
	for _, n := range nodes {
		m.front.add(n)
	}
	m.nodes, m.stays = &rolling{nodes: nodes}, nodes[0]
	return m
}

// fillKeys has the node that stays remember as many idempotency keys as it ever does, which
// are 30 MiB and no growth. Of two nodes each has half of the keys.
func (m *mixed) fillKeys(ctx context.Context, t *testing.T) {
	t.Helper()
	each(t, 3*idempotency.Count, func(i int) error {
		_, err := m.stays.emitter.Emit(ctx, &fanoutv1.EmitRequest{
			To: &fanoutv1.Target{Rooms: []string{"nobody"}}, Event: "numbered", IdempotencyKey: fmt.Sprint("run 0 caller 0-", i),
		})
		return err
	})
}

// run does everything for so long, and checks what came of it.
func (m *mixed) run(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	m.runs++
	l := m.startLoad(ctx, t)
	crowd := m.startCrowd(ctx, t, d)
	visits := startVisits(ctx, t, m.stays)
	running, stop := context.WithTimeout(ctx, d)
	defer stop()
	var acting sync.WaitGroup
	acting.Go(func() { l.cut(running) })
	restarts := 0
	for running.Err() == nil || restarts == 0 {
		m.nodes.restart(ctx, t, 1, m.path)
		at := m.nodes.at(1)
		m.front.add(&at)
		restarts++
		select {
		case <-time.After(soakStay): // some that are cut off come there
		case <-running.Done():
		}
	}
	acting.Wait()
	visits.finish(t)
	l.finish(ctx, t)
	crowd.finish(ctx, t)
	t.Logf("run %d, %v: %d clients were cut off %d times and came back; %d restarts; visits: %v",
		m.runs, d, soakClients, l.cuts, restarts, visits.done)
}

// rest waits until everybody has gone, and a while longer until enough has gone.
func (m *mixed) rest(ctx context.Context, t *testing.T, patience time.Duration, enough func(leftover) bool) leftover {
	t.Helper()
	if enough == nil { // the first time: all that will go
		if patience > comePatience {
			select {
			case <-time.After(patience):
			case <-ctx.Done():
			}
		}
		return left(ctx, t, m.stays.daemon, nil)
	}
	var l leftover
	late := time.Now().Add(patience)
	for l = left(ctx, t, m.stays.daemon, enough); !enough(l) && time.Now().Before(late); {
		l = left(ctx, t, m.stays.daemon, enough)
	}
	return l
}

// mixedLoad is clients that stay, come back, and miss nothing.
type mixedLoad struct {
	load
	room   string // that each second client is in
	toRoom *rollingCaller
	cuts   int
}

// startLoad connects the clients, and has callers emit to all of them and to a room.
func (m *mixed) startLoad(ctx context.Context, t *testing.T) *mixedLoad {
	t.Helper()
	l := &mixedLoad{load: load{clients: make([]*rollingClient, soakClients), callers: make([]*rollingCaller, 2)}, room: fmt.Sprint("room ", m.runs)}
	behind := &rolling{nodes: []*clusterNode{{daemon: daemon{listen: m.front.address}}}}
	running, stop := context.WithCancel(ctx)
	emitting, halt := context.WithCancel(running)
	var coming sync.WaitGroup
	for i := range l.clients {
		l.clients[i] = &rollingClient{rolling: behind, slow: i%10 == 0, numbers: map[string][]int{}}
		coming.Go(func() { l.clients[i].run(running) })
	}
	l.halt, l.stop = halt, sync.OnceFunc(func() { stop(); coming.Wait(); l.calling.Wait() })
	t.Cleanup(l.stop)
	eventually(ctx, t, "everybody is connected", l.everybodyIn)
	var members []string
	for i, c := range l.clients {
		if i%2 == 0 {
			members = append(members, c.connection())
		}
	}
	at := m.nodes.at(0)
	if res, err := at.registry.Join(ctx, &fanoutv1.JoinRequest{To: &fanoutv1.Target{Ids: members}, Rooms: []string{l.room}}); err != nil || int(res.GetAffected()) != len(members) {
		t.Fatalf("Join: %v, %v, want %d affected", res, err, len(members))
	}
	for i := range l.callers {
		l.callers[i] = &rollingCaller{rolling: m.nodes, name: fmt.Sprint("run ", m.runs, " caller ", i), next: i, pace: 2 * soakPause}
	}
	l.toRoom = &rollingCaller{rolling: m.nodes, name: fmt.Sprint("run ", m.runs, " room"), to: &fanoutv1.Target{Rooms: []string{l.room}}, pace: 2 * soakPause}
	for _, c := range append(l.callers[:len(l.callers):len(l.callers)], l.toRoom) {
		l.calling.Go(func() { c.run(emitting, t) })
	}
	return l
}

// cut cuts clients off, now and then.
func (l *mixedLoad) cut(ctx context.Context) {
	tick := time.NewTicker(10 * soakPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if l.clients[rand.IntN(len(l.clients))].cut() {
			l.cuts++
		}
	}
}

// finish is load.finish, and checks who was sent what the room was.
func (l *mixedLoad) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	l.halt()
	l.calling.Wait()
	eventually(ctx, t, "the members have the last emit to their room", func() bool {
		for i, c := range l.clients {
			if i%2 == 0 && !c.renewed() && !c.has([]*rollingCaller{l.toRoom}) {
				return false
			}
		}
		return true
	})
	returns := l.load.finish(ctx, t)
	if returns < l.cuts {
		t.Errorf("clients were cut off %d times, and came back %d times", l.cuts, returns)
	}
	missed := 0
	for i, c := range l.clients {
		if i%2 == 0 {
			missed += c.judge(t, i, l.toRoom)
		} else if n := len(c.numbers[l.toRoom.name]); n > 0 {
			t.Errorf("client %d, who was not in the room, was sent %d events to it", i, n)
		}
	}
	if missed > 0 {
		t.Errorf("%d emits to the room were missed", missed)
	}
}
