package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	churnBrowsers  = 200
	churnConsumers = 3
	// churnPause is between two events of one browser, on average.
	churnPause = 100 * time.Millisecond
)

// TestConsumersDieAndCome has 200 browsers send numbered events while every
// second a consumer of their group is killed (each third one is asked to leave)
// and another one starts. For each connection nothing is lost, nothing
// overtakes, and what comes twice is marked as another attempt. It takes 8
// seconds, or what $CHURN says: CHURN=1m go test -run ConsumersDie ./test
func TestConsumersDieAndCome(t *testing.T) {
	if testing.Short() {
		t.Skip("runs many processes for seconds; run without -short")
	}
	duration := 8 * time.Second
	if s := os.Getenv("CHURN"); s != "" {
		var err error
		if duration, err = time.ParseDuration(s); err != nil {
			t.Fatalf("$CHURN: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), duration+2*time.Minute)
	defer cancel()
	d := startDaemon(ctx, t)
	admin := fanoutv1.NewAdminServiceClient(connectTo(t, d.control))
	record := filepath.Join(t.TempDir(), "record")
	var consumers []*consumer
	for range churnConsumers {
		consumers = append(consumers, startConsumer(t, d.control, record))
	}
	eventually(ctx, t, "all consumers are there", func() bool {
		return len(group(ctx, t, admin).GetConsumers()) == churnConsumers
	})

	sending, stopSending := context.WithTimeout(ctx, duration)
	defer stopSending()
	sent := map[string]int{} // by connection
	var mu sync.Mutex
	var senders sync.WaitGroup
	for range churnBrowsers {
		b := openBrowser(ctx, t, d.listen)
		senders.Go(func() {
			n := 0
			for sending.Err() == nil {
				if err := b.say(fmt.Sprintf(`42["n",%d]`, n+1)); err != nil {
					t.Errorf("%s: after %d events: %v", b.id, n, err)
					return
				}
				n++
				select {
				case <-time.After(rand.N(2 * churnPause)):
				case <-sending.Done():
				}
			}
			mu.Lock()
			defer mu.Unlock()
			sent[b.id] = n
		})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for killed := 0; sending.Err() == nil; {
		select {
		case <-sending.Done():
			continue
		case <-tick.C:
		}
		consumers = append(consumers, startConsumer(t, d.control, record))
		oldest := consumers[0]
		consumers = consumers[1:]
		if killed++; killed%3 == 0 {
			if err := oldest.stop(syscall.SIGTERM); err != nil {
				t.Errorf("a consumer that was asked to leave ended with %v:\n%s", err, oldest.log)
			}
		} else if err := oldest.stop(os.Kill); err == nil {
			t.Errorf("a consumer that was to be killed ended by itself:\n%s", oldest.log)
		}
	}
	senders.Wait()
	if t.Failed() {
		return
	}
	// A group that has nothing pending has settled everything it was given.
	eventually(ctx, t, "everything is settled", func() bool { return group(ctx, t, admin).GetPendingEvents() == 0 })
	checkRecord(t, readRecord(t, record), sent)
}

// checkRecord checks what consumers have recorded against what was sent.
func checkRecord(t *testing.T, lines []string, sent map[string]int) {
	t.Helper()
	last := map[string]int{} // by connection
	again := 0
	faults := 0
	fault := func(format string, args ...any) {
		if faults++; faults <= 20 {
			t.Errorf(format, args...)
		}
	}
	for _, line := range lines {
		var id string
		var n, attempt int
		if _, err := fmt.Sscan(line, &id, &n, &attempt); err != nil {
			t.Fatalf("a record %q: %v", line, err)
		}
		switch {
		case n == last[id]+1:
			last[id] = n
		case n <= last[id] && attempt > 1:
			again++
		default:
			fault("%s: event %d (attempt %d) after %d", id, n, attempt, last[id])
		}
	}
	if again == 0 {
		t.Error("nothing came again: no kill has hit a consumer at work")
	}
	total := 0
	for id, n := range sent {
		total += n
		if last[id] != n {
			fault("%s: %d events were sent, the last one that came is %d", id, n, last[id])
		}
	}
	t.Logf("%d events of %d connections; %d came again; %d faults", total, len(sent), again, faults)
}
