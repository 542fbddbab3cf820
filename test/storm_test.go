package test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

const (
	stormClients     = 300
	stormSoakClients = 5000
	// stormPatience is how long the last of them may take to get in.
	stormPatience = time.Minute
	// stormArrival is over how long they come at first.
	stormArrival = time.Second
	// stormOutage is how long the key set is not there.
	stormOutage = 5 * time.Second
	// stormHook is how long the hook takes for each.
	stormHook = time.Second
	// stormRestart is how long the consumer that authorises is away, once it has
	// decided on a quarter of them.
	stormRestart = 3 * time.Second
)

// TestStorm has many clients connect at once to a daemon that has just started,
// while its key set is not there for 5 s, the hook takes 1 s for each of them, and
// the consumer that authorises restarts: within a minute everybody is in who may
// be, by the stock client's own coming back, and nobody else. There are 300; with
// SOAK=1 5,000; $STORM is another number: STORM=5000 go test -run Storm -v ./test
func TestStorm(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds; run without -short")
	}
	n := stormClients
	if os.Getenv("SOAK") != "" {
		n = stormSoakClients
	} else {
		t.Parallel() // it mostly waits
	}
	if s := os.Getenv("STORM"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 100 {
			t.Fatalf("$STORM is %q, want a number from 100 on", s)
		}
	}
	needFiles(t, uint64(n+500))
	ctx, cancel := context.WithTimeout(t.Context(), 2*stormPatience)
	defer cancel()
	keys := serveKeys(t)
	hook := serveHook(t, stormHook)
	d := launchDaemon(ctx, t, binary(ctx, t), "/livez",
		"--jwks-url="+keys.url, "--jwt-algorithms=EdDSA", "--jwt-issuer=test", "--jwt-audience=test",
		"--hook="+hook.address, "--require-verdict")
	started := metric(t, d, "process_start_time_seconds")
	verdicts := authorizer{address: d.control}
	stop := verdicts.start(ctx, t)

	began := time.Now()
	clients, wait := storm(ctx, d.listen, keys, n)
	defer wait()
	defer cancel()
	keys.comeBack(stormOutage)
	eventually(ctx, t, "a quarter is decided on", func() bool { return verdicts.decided() >= n/4 })
	stop()
	time.Sleep(stormRestart)
	defer verdicts.start(ctx, t)()

	eventually(ctx, t, "everybody is where they belong, or it is too late", func() bool {
		return len(misplaced(clients)) == 0 || time.Since(began) > stormPatience
	})
	took := time.Since(began).Round(100 * time.Millisecond)
	for what, n := range misplaced(clients) {
		t.Errorf("after %v, %d clients: %s", took, n, what)
	}
	t.Logf("%d clients were decided on after %v, with %d sessions; the hook was asked %d times, consumers %d times",
		n, took, countTries(clients), hook.asked.Load(), verdicts.decided())
	registry := fanoutv1.NewRegistryServiceClient(connectTo(t, d.control))
	counted, err := registry.CountConnections(ctx, &fanoutv1.CountConnectionsRequest{To: &fanoutv1.Target{All: true}})
	if err != nil || int(counted.GetTotal()) != countWelcome(clients) {
		t.Errorf("CountConnections: %v, %v, want %d", counted, err, countWelcome(clients))
	}
	if at := metric(t, d, "process_start_time_seconds"); at != started {
		t.Errorf("the daemon restarted: it was started at %v, and is since %v", started, at)
	}
	if t.Failed() {
		for name, value := range metrics(t, d) {
			if strings.HasPrefix(name, "fanoutd_") && value != 0 {
				t.Log(name, value)
			}
		}
	}
}

// stormClient is one of the storm.
type stormClient struct {
	stockClient
	fate fate
}

// fate says who, if anybody, will refuse a client.
type fate string

const (
	welcome          fate = "welcome"
	refusedByToken   fate = "refused by its token"
	refusedByHook    fate = "refused by the hook"
	refusedByVerdict fate = "refused by the verdict"
)

func (c *stormClient) welcome() bool { return c.fate == welcome }

// storm starts n clients, of which one in twenty will be refused by each of those
// who decide, and returns what waits for their end.
func storm(ctx context.Context, address string, keys *keyServer, n int) (clients []*stormClient, wait func()) {
	var running sync.WaitGroup
	for i := range n {
		c := &stormClient{stockClient: stockClient{address: address}, fate: welcome}
		switch i % 20 {
		case 1:
			c.fate = refusedByToken
		case 2:
			c.fate = refusedByHook
		case 3:
			c.fate = refusedByVerdict
		}
		c.auth = fmt.Sprintf(`{"token":%q}`, keys.token(fmt.Sprintf("%s-%d", c.fate, i), c.fate == refusedByToken))
		clients = append(clients, c)
	}
	for i, c := range clients {
		running.Go(func() {
			select {
			case <-time.After(stormArrival * time.Duration(i) / time.Duration(n)):
				c.run(ctx)
			case <-ctx.Done():
			}
		})
	}
	return clients, running.Wait
}

// misplaced tells what is wrong, and with how many: who is welcome is to be in, and
// nobody else is, or ever was.
func misplaced(clients []*stormClient) map[string]int {
	wrong := map[string]int{}
	for _, c := range clients {
		in, wasIn, refused, tries := c.state()
		switch {
		case c.welcome() && refused != "":
			wrong[fmt.Sprintf("welcome, refused with %s", refused)]++
		case c.welcome() && !in:
			wrong[fmt.Sprintf("welcome, not in after %d sessions", tries)]++
		case !c.welcome() && wasIn:
			wrong[fmt.Sprintf("%s, was in", c.fate)]++
		case !c.welcome() && refused == "":
			wrong[fmt.Sprintf("%s, not told so after %d sessions", c.fate, tries)]++
		}
	}
	return wrong
}

func countWelcome(clients []*stormClient) (n int) {
	for _, c := range clients {
		if c.welcome() {
			n++
		}
	}
	return n
}

func countTries(clients []*stormClient) (n int) {
	for _, c := range clients {
		_, _, _, tries := c.state()
		n += tries
	}
	return n
}
