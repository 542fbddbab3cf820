package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	chaosDuration = 20 * time.Second
	chaosSoak     = 10 * time.Minute
	chaosCrowd    = 30 // browsers at once
	chaosWorkers  = 4  // of each group at once, those that leave aside
	// chaosPause is between two events of one browser, on average.
	chaosPause = 40 * time.Millisecond
	// chaosStay is how long a browser stays at most.
	chaosStay = 8 * time.Second
	// chaosPoison is of how many events one cannot be handled.
	chaosPoison = 97
	// chaosQuiet is how long the end may take; it only matters to a test that fails.
	chaosQuiet = time.Minute
	// chaosGrowth is by how much the daemon may grow in the second half.
	chaosGrowth = 48 << 20 // bytes
)

var chaosEvents = []string{"a", "b", "c", "d"}

// TestChaos has browsers come, send numbered events and go, while the workers of
// two groups crash, hang, stop reading, give events back, leave, are replaced and
// are deployed with other subscriptions, by a schedule that a seed gives. Of what
// the daemon took nothing is lost, nothing overtakes, no attempt comes twice, and
// it does not grow. It takes 20 s; with SOAK=1 10 minutes; $CHAOS is another
// duration, $CHAOS_SEED a seed: CHAOS=1m CHAOS_SEED=7 go test -run Chaos -v ./test
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("runs for seconds; run without -short")
	}
	duration := chaosDuration
	if os.Getenv("SOAK") != "" {
		duration = chaosSoak
	} else {
		t.Parallel() // it mostly waits
	}
	if s := os.Getenv("CHAOS"); s != "" {
		var err error
		if duration, err = time.ParseDuration(s); err != nil {
			t.Fatalf("$CHAOS: %v", err)
		}
	}
	seed := rand.Uint64()
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("$CHAOS_SEED: %v", err)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	ctx, cancel := context.WithTimeout(t.Context(), duration+3*chaosQuiet)
	defer cancel()
	d := startDaemon(ctx, t)
	control := connectTo(t, d.control)
	admin := fanoutv1.NewAdminServiceClient(control)
	start := metric(t, d, "go_goroutines")

	browsers := &chaosBrowsers{}
	var browsing, breaking sync.WaitGroup
	groups := []*chaosGroup{newChaosGroup(control, "one", seed), newChaosGroup(control, "two", seed+1)}
	t.Cleanup(func() { // ctx has ended
		browsing.Wait()
		breaking.Wait()
		for _, g := range groups {
			g.working.Wait()
		}
	})
	for _, g := range groups {
		for slot := range g.workers {
			if err := g.replace(ctx, slot); err != nil {
				t.Fatal(err)
			}
		}
	}
	running, stop := context.WithTimeout(ctx, duration)
	defer stop()
	for i := range chaosCrowd {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		browsing.Go(func() { browsers.come(ctx, running, t, d.listen, r) })
	}
	for _, g := range groups {
		breaking.Go(func() {
			if err := g.chaos(ctx, running); err != nil {
				t.Errorf("group %s: %v", g.record.group, err)
			}
		})
	}
	half := time.NewTimer(duration / 2)
	<-half.C
	middle := residentBytes(t, d)
	breaking.Wait()
	if t.Failed() {
		return
	}
	end := residentBytes(t, d)
	for _, g := range groups {
		g.replaceAll(ctx, t)
	}
	browsing.Wait()
	awaitSettled(ctx, t, admin, d)

	for _, g := range groups {
		g.judge(ctx, t, browsers.all)
		if g.record.repeated == 0 {
			t.Errorf("group %s: nothing came again: nothing has hit a worker at work", g.record.group)
		}
	}
	// What one browser sends in its time does not fill its queue, nor all of them the group's.
	if dropped := metric(t, d, "fanoutd_deliveries_dropped_total"); dropped > 0 {
		t.Errorf("%v events were dropped, though all fit the queues", dropped)
	}
	if unheard := metric(t, d, "fanoutd_deliveries_unheard_total"); unheard > 0 {
		t.Errorf("%v events were asked for by nobody, though there always was somebody", unheard)
	}
	t.Logf("resident: %d MiB in the middle, %d MiB at the end", middle>>20, end>>20)
	if end-middle > chaosGrowth {
		t.Errorf("the daemon grew from %d to %d MiB in the second half", middle>>20, end>>20)
	}
	for _, g := range groups {
		for _, w := range g.workers {
			w.crash()
		}
	}
	if err := control.Close(); err != nil {
		t.Error(err)
	}
	is := 0.0
	late := time.Now().Add(comePatience)
	eventually(ctx, t, "its goroutines have ended", func() bool {
		is = metric(t, d, "go_goroutines")
		return is <= start+comeGoroutines || time.Now().After(late)
	})
	if is > start+comeGoroutines {
		t.Errorf("%v goroutines are left; there were %v at the start:\n%s", is, start, get(t, "http://"+d.ops+"/debug/pprof/goroutine?debug=1"))
	}
}

// awaitSettled waits until all browsers have gone and nothing waits for consumers.
func awaitSettled(ctx context.Context, t *testing.T, admin fanoutv1.AdminServiceClient, d daemon) {
	t.Helper()
	eventually(ctx, t, "everything is settled", func() bool {
		res, err := admin.ListConsumers(ctx, &fanoutv1.ListConsumersRequest{PageSize: 1000})
		if err != nil {
			t.Fatalf("ListConsumers: %v", err)
		}
		pending := uint32(0)
		for _, g := range res.GetGroups() {
			pending += g.GetPendingEvents()
		}
		return pending == 0 && metric(t, d, "fanoutd_connections") == 0
	})
}

// replaceAll puts sound workers, that want everything, in the place of all others.
func (g *chaosGroup) replaceAll(ctx context.Context, t *testing.T) {
	t.Helper()
	for slot := range g.workers {
		g.workers[slot].crash()
		if err := g.start(ctx, slot, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// judge checks what became of what browsers, who have gone, have sent.
func (g *chaosGroup) judge(ctx context.Context, t *testing.T, browsers []*chaosBrowser) {
	t.Helper()
	dead := deadLetters(ctx, t, g.admin, g.record.group)
	missing, ambiguous, events := g.record.check(browsers, dead)
	for _, fault := range g.record.faults {
		t.Error(fault)
	}
	t.Logf("group %s: %d connections, %d events, %d deliveries, of which %d again; %d dead letters, %d missing, %d that a stream which ended may have settled; done to workers: %v",
		g.record.group, len(browsers), events, g.record.deliveries, g.record.repeated, len(dead), missing, ambiguous, g.done)
	for _, note := range g.record.notes {
		t.Log(note)
	}
	if missing > 0 {
		t.Errorf("group %s: %d events are neither settled nor dead letters", g.record.group, missing)
	}
}

// deadLetters returns the dead letters of a group, by deadKey.
func deadLetters(ctx context.Context, t *testing.T, admin fanoutv1.AdminServiceClient, group string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for token := ""; ; {
		res, err := admin.ListDeadLetters(ctx, &fanoutv1.ListDeadLettersRequest{Group: group, PageSize: 1000, PageToken: token})
		if err != nil {
			t.Fatalf("ListDeadLetters: %v", err)
		}
		for _, l := range res.GetDeadLetters() {
			all[deadKey(l.GetEvent().GetConnectionId(), l.GetEvent().GetSequence())] = true
		}
		if token = res.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// chaosGroup is a group and what is done to its workers. One goroutine has it at a
// time.
type chaosGroup struct {
	control *grpc.ClientConn
	// namespaces are those of its browsers; none: all.
	namespaces []string

	admin   fanoutv1.AdminServiceClient
	record  *chaosRecord
	rand    *rand.Rand
	workers [chaosWorkers]*chaosWorker
	working sync.WaitGroup // the goroutines of all workers there were
	names   int
	done    map[string]int
}

func newChaosGroup(control *grpc.ClientConn, name string, seed uint64) *chaosGroup {
	return &chaosGroup{
		control: control, admin: fanoutv1.NewAdminServiceClient(control), record: newChaosRecord(name),
		rand: rand.New(rand.NewPCG(seed, seed)), done: map[string]int{},
	}
}

// replace starts another worker in a slot. The first slot's wants everything, so
// that somebody does.
func (g *chaosGroup) replace(ctx context.Context, slot int) error {
	var events []string
	if slot > 0 && g.rand.IntN(3) > 0 {
		for _, name := range chaosEvents {
			if g.rand.IntN(2) == 0 {
				events = append(events, name)
			}
		}
	}
	return g.start(ctx, slot, events)
}

// start starts a worker in a slot, by a new name.
func (g *chaosGroup) start(ctx context.Context, slot int, events []string) error {
	g.names++
	return g.join(ctx, slot, fmt.Sprint("w", g.names), events)
}

func (g *chaosGroup) join(ctx context.Context, slot int, id string, events []string) error {
	w, err := startChaosWorker(ctx, g, id, events)
	if err != nil {
		return fmt.Errorf("a worker could not join: %w", err)
	}
	g.workers[slot] = w
	return nil
}

// chaos does things to workers until running ends, or a worker cannot join.
func (g *chaosGroup) chaos(ctx, running context.Context) error {
	between := func(low, high time.Duration) time.Duration {
		return low + time.Duration(g.rand.Int64N(int64(high-low)))
	}
	for {
		select {
		case <-time.After(between(20*time.Millisecond, 400*time.Millisecond)):
		case <-running.Done():
			return nil
		}
		for slot, w := range g.workers {
			if w.gone() { // as a supervisor does
				if err := g.replace(ctx, slot); err != nil {
					return err
				}
			}
		}
		slot := g.rand.IntN(chaosWorkers)
		w := g.workers[slot]
		act := ""
		var err error
		switch g.rand.IntN(8) {
		case 0, 1:
			act = "crash"
			w.crash()
			err = g.replace(ctx, slot)
		case 2:
			act = "deploy"
			err = g.replace(ctx, slot)
			w.leave()
		case 3:
			act = "leave"
			w.leave()
			err = g.replace(ctx, slot)
		case 4:
			act = "hang"
			w.hang(between(0, 3*chaosAckWait))
		case 5:
			act = "stop reading"
			w.stopReading(between(0, 15*time.Second))
		case 6:
			act = "join again"
			err = g.join(ctx, slot, w.id, nil)
		case 7:
			act = "disconnect"
			// It may have ended by itself.
			_, _ = g.admin.DisconnectConsumer(ctx, &fanoutv1.DisconnectConsumerRequest{Group: g.record.group, ConsumerId: w.id})
		}
		if err != nil {
			return err
		}
		g.done[act]++
	}
}
