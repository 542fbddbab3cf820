package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/backend"
	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	shutdownBrowsers = 40
	shutdownPause    = 5 * time.Millisecond // between two events of one browser
	shutdownEvents   = 1500                 // before the signal
	shutdownGrace    = 5 * time.Second
	// shutdownSlow is how long the slow consumer takes for an event.
	shutdownSlow = 200 * time.Millisecond
	// shutdownSlack is for a busy machine to end a process in.
	shutdownSlack = 2 * time.Second
)

// TestShutdownUnderLoad stops the daemon while browsers send events to three
// groups: one that keeps up, one that takes 200 ms for each, one that has nobody.
// The first hears of each connection's end; every event that a browser sent and the
// daemon took is delivered, or logged or counted as lost; and it ends within the grace
// period. Once there is room for all that waits; and once not, so that browsers are
// held up when it stops.
func TestShutdownUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	t.Run("within the bounds", func(t *testing.T) { shutDownUnderLoad(t, 0) })
	t.Run("beyond the bounds", func(t *testing.T) { shutDownUnderLoad(t, 32<<10) })
}

// shutDownUnderLoad does it with events that are padded by so many bytes.
func shutDownUnderLoad(t *testing.T, pad int) {
	t.Parallel() // it mostly waits
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	d := startDaemon(ctx, t, "--grace="+shutdownGrace.String())
	live, slow, dead := &history{}, &history{takes: shutdownSlow}, &history{}
	leave := dead.consume(ctx, t, d, "dead")
	first := openBrowser(ctx, t, d.listen)
	_ = first.conn.Close()
	eventually(ctx, t, "the group that will have nobody has settled something", func() bool { return dead.settled.Load() == 2 })
	leave()
	live.consume(ctx, t, d, "live")
	slow.consume(ctx, t, d, "slow")

	var sent atomic.Int64
	ids := map[string]bool{}
	var senders sync.WaitGroup
	padding := strings.Repeat("x", pad)
	browsers := make([]*browser, shutdownBrowsers)
	for i := range browsers {
		browsers[i] = openBrowser(ctx, t, d.listen)
		ids[browsers[i].id] = true
	}
	for _, b := range browsers {
		senders.Go(func() {
			for n := 1; b.say(fmt.Sprintf(`42["n",%d,"%s"]`, n, padding)) == nil; n++ {
				sent.Add(1)
				time.Sleep(shutdownPause)
			}
		})
	}
	eventually(ctx, t, "the browsers are at it", func() bool { return sent.Load() >= shutdownEvents })
	began := time.Now()
	if err := syscall.Kill(d.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	dropped := watchDropped(d)
	if err := d.wait(ctx); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	took := time.Since(began)
	senders.Wait()
	if took > shutdownGrace+shutdownSlack {
		t.Errorf("the daemon ended %v after SIGTERM, want within %v", took, shutdownGrace)
	}

	taken, heard := live.complete(t, ids)
	left, late := undelivered(d.log.String())
	t.Logf("%d events were sent, %d taken, ends and beginnings included; settled: live %d, slow %d; undelivered: %v, dropped: %d, at the end %d; ended after %v",
		sent.Load(), taken, heard, slow.settled.Load(), left, dropped(), late, took.Round(10*time.Millisecond))
	if left["live"] != 0 {
		t.Errorf("%d events were not delivered to the group that keeps up", left["live"])
	}
	if held := late > 0; held != (pad > 0) {
		t.Errorf("%d events are logged as dropped at the end, with %d bytes of padding", late, pad)
	}
	// Of the last one that the slow group settled the daemon may not have heard.
	sum := heard + int(slow.settled.Load()) + left["slow"] + left["dead"] + dropped()
	if sum != 3*taken && sum != 3*taken+1 {
		t.Errorf("%d events are delivered, logged or counted, want %d, that is %d for each group", sum, 3*taken, taken)
	}
}

// watchDropped asks how many deliveries were dropped until the daemon answers no
// longer. The last answer comes when no session is left to lose anything.
func watchDropped(d daemon) (dropped func() int) {
	var last int
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		for {
			res, err := http.Get("http://" + d.ops + "/metrics")
			if err != nil {
				return
			}
			text, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil {
				return
			}
			if _, value, ok := strings.Cut(string(text), "\nfanoutd_deliveries_dropped_total "); ok {
				value, _, _ = strings.Cut(value, "\n")
				last, _ = strconv.Atoi(value) // small enough not to have an exponent
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() int { <-watching; return last }
}

// undelivered returns what the log says was not delivered, by group, and what was
// dropped for all groups together when sessions ended.
func undelivered(log string) (left map[string]int, dropped int) {
	left = map[string]int{}
	for _, m := range regexp.MustCompile(`events were not delivered" group=(\w+) events=(\d+)`).FindAllStringSubmatch(log, -1) {
		left[m[1]], _ = strconv.Atoi(m[2]) // digits, and few of them
	}
	if m := regexp.MustCompile(`events were dropped[^"]*" events=(\d+)`).FindStringSubmatch(log); m != nil {
		dropped, _ = strconv.Atoi(m[1])
	}
	return left, dropped
}

// history is what a consumer of everything has heard.
type history struct {
	takes   time.Duration // for each event
	settled atomic.Int64

	mu     sync.Mutex
	events map[string][]*backend.Event // by connection
	ends   map[string]string           // reasons
}

// consume has a consumer hear everything until leave is called, or the daemon has
// ended.
func (h *history) consume(ctx context.Context, t *testing.T, d daemon, name string) (leave func()) {
	t.Helper()
	h.events, h.ends = map[string][]*backend.Event{}, map[string]string{}
	client, err := backend.Dial(ctx, d.control, backend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := client.Consumer(backend.ConsumerOptions{Group: name, Concurrency: 1, MaxInFlight: h.inFlight()})
	hear := func(e *backend.Event) {
		time.Sleep(h.takes)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.events[e.ID] = append(h.events[e.ID], e)
		h.settled.Add(1)
	}
	c.OnAny(func(_ context.Context, e *backend.Event) (backend.Reply, error) { hear(e); return nil, nil })
	c.OnConnect(func(_ context.Context, e *backend.Event) error { hear(e); return nil })
	c.OnDisconnect(func(_ context.Context, e *backend.Event) error {
		hear(e)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ends[e.ID] = e.Reason
		return nil
	})
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = c.Run(ctx) })
	leave = sync.OnceFunc(func() { cancel(); running.Wait(); _ = client.Close() })
	t.Cleanup(leave)
	admin := fanoutv1.NewAdminServiceClient(client.GRPC())
	eventually(ctx, t, "the consumer is there", func() bool {
		res, err := admin.ListConsumers(ctx, &fanoutv1.ListConsumersRequest{Group: name})
		return err == nil && len(res.GetGroups()) == 1 && len(res.GetGroups()[0].GetConsumers()) == 1
	})
	return leave
}

func (h *history) inFlight() int {
	if h.takes > 0 {
		return 1
	}
	return 0
}

// complete checks that what was heard of each connection came once and in order,
// up to its end at the shutdown, whose number is how many the daemon took of it. It
// returns how many those are, and how many were heard.
func (h *history) complete(t *testing.T, ids map[string]bool) (taken, heard int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range ids {
		last := uint64(0)
		for _, e := range h.events[id] {
			if e.Sequence <= last {
				t.Errorf("%s: event %d came after %d", id, e.Sequence, last)
			}
			last = e.Sequence
		}
		if h.ends[id] != "server shutting down" {
			t.Errorf("%s: ended with %q", id, h.ends[id])
		}
		taken += int(last)
		heard += len(h.events[id])
	}
	return taken, heard
}
