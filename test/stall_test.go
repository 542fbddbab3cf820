package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	stallBrowsers = 10 // of the stuck consumer
	stallOthers   = 5  // few enough to go to another consumer, all of them
	// What each of them pushes is more than its TCP connection can swallow, which
	// on loopback is some MiB.
	stallEvents = 40
	stallEvent  = 256 << 10 // bytes
	// stallGrowth is what the daemon may grow by while browsers push against a
	// consumer that does not read: a queue's 256 KiB for each of them, the
	// buffers of their connections, and garbage. What they try to push is far
	// more.
	stallGrowth = 100 << 20 // bytes
)

// stuck joins the group as a consumer that reads no event until the test does.
func stuck(ctx context.Context, t *testing.T, events fanoutv1.EventServiceClient) fanoutv1.EventService_ConsumeClient {
	t.Helper()
	stream, err := events.Consume(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&fanoutv1.ConsumeRequest{Request: &fanoutv1.ConsumeRequest_Open_{
		Open: &fanoutv1.ConsumeRequest_Open{Group: "g", ConsumerId: "stuck", MaxInFlight: 10_000},
	}}); err != nil {
		t.Fatal(err)
	}
	if res, err := stream.Recv(); err != nil || res.GetReady() == nil {
		t.Fatalf("joining: %v, %v", res, err)
	}
	return stream
}

// pusher is a browser that pushes.
type pusher struct {
	*browser
	sent atomic.Int64
}

// push sends n events; it blocks while the browser is held up.
func (p *pusher) push(n int) error {
	for range n {
		if err := p.say(fmt.Sprintf(`42["n",%d,"%s"]`, p.sent.Load()+1, strings.Repeat("x", stallEvent))); err != nil {
			return err
		}
		p.sent.Add(1)
	}
	return nil
}

// TestStuckConsumer: a consumer that stops reading holds up its own browsers
// only, the daemon stays small, and after a while another consumer gets all
// that it had not settled, in order.
func TestStuckConsumer(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	d := startDaemon(ctx, t)
	conn := connectTo(t, d.control)
	admin := fanoutv1.NewAdminServiceClient(conn)
	stream := stuck(ctx, t, fanoutv1.NewEventServiceClient(conn))
	held := pushers(ctx, t, d.listen, stallBrowsers)
	eventually(ctx, t, "the browsers belong to the stuck consumer", func() bool {
		return group(ctx, t, admin).GetPendingEvents() == stallBrowsers
	})
	record := filepath.Join(t.TempDir(), "record")
	startConsumer(t, d.control, record)
	eventually(ctx, t, "the other consumer is there", func() bool { return len(group(ctx, t, admin).GetConsumers()) == 2 })
	// A consumer that has more than its share gets no newcomers.
	free := pushers(ctx, t, d.listen, stallOthers)
	before := residentBytes(t, d)

	var pushing sync.WaitGroup
	for _, p := range held {
		pushing.Go(func() {
			if err := p.push(stallEvents); err != nil {
				t.Errorf("a browser of the stuck consumer: %v", err)
			}
		})
	}
	const few = 5
	for _, p := range free {
		pushing.Go(func() {
			if err := p.push(few); err != nil {
				t.Errorf("a browser of the consumer that works: %v", err)
			}
		})
	}
	eventually(ctx, t, "the events of the others have come", func() bool {
		return len(readRecord(t, record)) == stallOthers*(few+1)
	})
	if n := len(group(ctx, t, admin).GetConsumers()); n != 2 {
		t.Errorf("%d consumers are there, want the stuck one still among 2", n)
	}
	most := before
	eventually(ctx, t, "the stuck consumer is taken out", func() bool {
		most = max(most, residentBytes(t, d))
		unheld := slices.ContainsFunc(held, func(p *pusher) bool { return p.sent.Load() > stallEvents })
		if len(group(ctx, t, admin).GetConsumers()) == 1 {
			return true
		}
		if unheld { // before it was taken out
			t.Error("a browser could send everything while nobody read")
		}
		return unheld
	})
	pushing.Wait()
	eventually(ctx, t, "everything is settled", func() bool { return group(ctx, t, admin).GetPendingEvents() == 0 })
	most = max(most, residentBytes(t, d))
	if most-before > stallGrowth {
		t.Errorf("the daemon grew from %d to %d MiB", before>>20, most>>20)
	}
	t.Logf("the daemon grew from %d to %d MiB while %d MiB were pushed", before>>20, most>>20, stallBrowsers*stallEvents*stallEvent>>20)

	for {
		_, err := stream.Recv()
		if err == nil {
			continue // what was on its way
		}
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("the stuck consumer ended with %v, want RESOURCE_EXHAUSTED", err)
		}
		break
	}
	checkPushed(t, readRecord(t, record), held)
}

// checkPushed checks that each browser's events have come, in order, and what
// the stuck consumer had been given as another attempt.
func checkPushed(t *testing.T, lines []string, held []*pusher) {
	t.Helper()
	last := map[string]int{}
	again := 0
	for _, line := range lines {
		var id string
		var n, attempt int
		if _, err := fmt.Sscan(line, &id, &n, &attempt); err != nil {
			t.Fatalf("a record %q: %v", line, err)
		}
		if n != last[id]+1 {
			t.Fatalf("%s: event %d after %d", id, n, last[id])
		}
		last[id] = n
		if attempt > 1 {
			again++
		}
	}
	for _, p := range held {
		if last[p.id] != stallEvents+1 {
			t.Errorf("%s: %d events have come, want %d", p.id, last[p.id], stallEvents+1)
		}
	}
	if again == 0 {
		t.Error("nothing came again of what the stuck consumer was given")
	}
}

// TestNobodyElse: where no other consumer is, the sessions that are held up for
// too long are closed, with the reason, and come back.
func TestNobodyElse(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	d := startDaemon(ctx, t)
	stuck(ctx, t, fanoutv1.NewEventServiceClient(connectTo(t, d.control)))
	var pushing sync.WaitGroup
	defer pushing.Wait()
	for _, p := range pushers(ctx, t, d.listen, stallBrowsers) {
		pushing.Go(func() {
			if p.push(1000) == nil {
				t.Errorf("%s could send everything while nobody read", p.id)
			}
			<-p.done
			var ended *websocket.CloseError
			if !errors.As(p.end, &ended) || ended.Text != "backend stalled" {
				t.Errorf("%s was closed with %v, want the reason %q", p.id, p.end, "backend stalled")
			}
		})
	}
}

// pushers connects n browsers that have sent a first event.
func pushers(ctx context.Context, t *testing.T, address string, n int) []*pusher {
	t.Helper()
	all := make([]*pusher, n)
	for i := range all {
		all[i] = &pusher{browser: openBrowser(ctx, t, address)}
		if err := all[i].push(1); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// residentBytes is the daemon's memory as its metrics tell.
func residentBytes(t *testing.T, d daemon) int64 {
	t.Helper()
	res, err := http.Get("http://" + d.ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "process_resident_memory_bytes "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int64(n)
		}
	}
	t.Skip("this system does not tell the memory of a process")
	return 0
}
