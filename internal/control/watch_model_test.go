package control

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/cluster/clustertest"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// admitting is a Backend that admits everybody as drawn.
type admitting struct {
	sio.Backend
	draw func() sio.Admission
}

func (a *admitting) Connecting(context.Context, *sio.Socket, []byte) (sio.Admission, error) {
	return a.draw(), nil
}

// dice are thrown by several goroutines.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (d *dice) n(sides int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(sides)
}

func (d *dice) name(kind string) string { return fmt.Sprint(kind, d.n(5)) }

func (d *dice) names(kind string) (names []string) {
	for range d.n(3) {
		names = append(names, d.name(kind))
	}
	return names
}

// churn is nodes with an API each, browsers that come and go, and readers of watches.
type churn struct {
	t     *testing.T
	dice  *dice
	nodes []*clustertest.Node
	apis  []fanoutv1.RegistryServiceClient

	mu       sync.Mutex
	browsers []*wiretest.WS
	ids      []string // of all that ever were
	readers  []*reader
}

type reader struct {
	*picture
	request *fanoutv1.WatchRequest
	cancel  context.CancelFunc
}

func (c *churn) target() *fanoutv1.Target {
	d := c.dice
	to := &fanoutv1.Target{Namespace: "/" + strings.Repeat("chat", d.n(2)), All: d.n(2) == 0}
	if !to.GetAll() {
		to.Rooms, to.Users = d.names("r"), append(d.names("u"), d.name("u"))
		c.mu.Lock()
		defer c.mu.Unlock()
		for range d.n(3) {
			if len(c.ids) > 0 {
				to.Ids = append(to.Ids, c.ids[d.n(len(c.ids))])
			}
		}
	}
	if d.n(3) == 0 {
		to.Except = d.names("r")
	}
	return to
}

func (c *churn) api() fanoutv1.RegistryServiceClient { return c.apis[c.dice.n(len(c.apis))] }

// step does something. What it answers is left to chance, where nodes do not reach each other.
func (c *churn) step() {
	ctx, d, to := context.Background(), c.dice, c.target()
	switch d.n(12) {
	case 0, 1:
		ws := c.nodes[d.n(len(c.nodes))].Browsers.MustDialWS(c.t, "EIO=4&transport=websocket")
		ws.Next() // open
		id := ws.Join(strings.TrimSuffix(to.GetNamespace(), "/"))
		ws.Idle()
		// Until other nodes have confirmed it, or are not waited for: an end would wait for
		// that in a lock, which no bubble's time passes by.
		time.Sleep(5 * time.Second)
		c.mu.Lock()
		c.browsers, c.ids = append(c.browsers, ws), append(c.ids, id)
		for len(c.browsers) > 60 {
			c.browsers[0].Close()
			c.browsers = c.browsers[1:]
		}
		c.ids = c.ids[max(0, len(c.ids)-100):]
		c.mu.Unlock()
	case 2:
		c.mu.Lock()
		if n := len(c.browsers); n > 0 {
			i := d.n(n)
			c.browsers[i].Close()
			c.browsers = append(c.browsers[:i], c.browsers[i+1:]...)
		}
		c.mu.Unlock()
	case 3, 4, 5:
		c.api().Join(ctx, &fanoutv1.JoinRequest{To: to, Rooms: append(d.names("r"), d.name("r"))})
	case 6, 7:
		c.api().Leave(ctx, &fanoutv1.LeaveRequest{To: to, Rooms: append(d.names("r"), d.name("r"))})
	case 8, 9:
		update := &fanoutv1.UpdateConnectionsRequest{To: to, Data: object(c.t, map[string]any{d.name("k"): d.name("v")})}
		if d.n(2) == 0 {
			update.UserId = proto.String([]string{"", d.name("u")}[d.n(2)])
		}
		c.api().UpdateConnections(ctx, update)
	case 10:
		if d.n(4) == 0 {
			to.Users, to.All = []string{d.name("u")}, false
			c.api().Disconnect(ctx, &fanoutv1.DisconnectRequest{To: to})
		}
	case 11:
		time.Sleep(time.Duration(d.n(3000)) * time.Millisecond)
	}
}

// look begins a watch, or ends one.
func (c *churn) look() {
	d := c.dice
	if len(c.readers) > 8 {
		c.readers[0].cancel()
		<-c.readers[0].over
		c.readers = c.readers[1:]
	}
	r := &reader{request: &fanoutv1.WatchRequest{To: c.target()}}
	for kind := range fanoutv1.WatchRequest_USERS + 1 {
		if d.n(2) == 0 {
			r.request.Kinds = append(r.request.Kinds, kind)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := c.api().Watch(ctx, r.request)
	if err == nil {
		_, err = s.Header()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	lazy := d.n(3) == 0
	r.cancel, r.picture = cancel, see(s, func() {
		if lazy {
			time.Sleep(time.Duration(d.n(2000)) * time.Millisecond)
		}
	})
	c.readers = append(c.readers, r)
}

// disturb cuts the way from one node to another, or heals it.
func (c *churn) disturb() {
	a, b := c.nodes[c.dice.n(len(c.nodes))], c.nodes[c.dice.n(len(c.nodes))]
	if a == b {
		return
	}
	if c.dice.n(2) == 0 {
		a.Bus.Cut(a.Self().Name, b.Self().Name)
	} else {
		a.Bus.Heal(a.Self().Name, b.Self().Name)
	}
}

func (c *churn) heal() {
	for _, a := range c.nodes {
		for _, b := range c.nodes {
			if a != b {
				a.Bus.Heal(a.Self().Name, b.Self().Name)
			}
		}
	}
}

// run lets happen so much, and compares what readers know with listings whenever it is quiet.
func (c *churn) run(what string, rounds, steps int) {
	for round := range rounds {
		for range 1 + c.dice.n(3) {
			c.look()
		}
		var busy sync.WaitGroup
		for range 3 {
			busy.Go(func() {
				for range steps {
					c.step()
				}
			})
		}
		for _, n := range c.nodes[1:] { // the first one alone, for so long that it is noticed
			n.Bus.Cut(n.Self().Name, c.nodes[0].Self().Name)
		}
		time.Sleep(20 * time.Second)
		c.heal()
		for range c.dice.n(6) {
			time.Sleep(time.Duration(c.dice.n(5000)) * time.Millisecond)
			c.disturb()
		}
		busy.Wait()
		c.heal()
		time.Sleep(3 * time.Minute) // a node that was given up is found again, lazy readers read
		synctest.Wait()
		for i, r := range c.readers {
			r.compare(c.t, fmt.Sprintf("%s, round %d, watch %d of %v", what, round, i, r.request), c.api(), r.request)
		}
		if c.t.Failed() {
			return
		}
	}
}

// TestWatchModel: what readers know is what listings say, whenever it is quiet, with one node
// and with three between which ways are cut. SOAK: for five minutes each.
func TestWatchModel(t *testing.T) {
	for name, number := range map[string]int{"one node": 1, "three nodes": 3} {
		t.Run(name, func(t *testing.T) {
			began, resyncs := time.Now(), 0
			for seed := uint64(1); seed == 1 || os.Getenv("SOAK") != "" && time.Since(began) < 5*time.Minute && !t.Failed(); seed++ {
				synctest.Test(t, func(t *testing.T) {
					d := &dice{random: rand.New(rand.NewPCG(seed, 7))}
					c := &churn{t: t, dice: d}
					c.nodes = clustertest.Start(t, number, clustertest.Options{
						Sockets: sio.Options{Namespaces: []string{"/", "/chat"}, Engine: engineio.Options{PingInterval: time.Minute}},
						Backend: func(b sio.Backend) sio.Backend {
							return &admitting{b, func() sio.Admission {
								return sio.Admission{User: strings.TrimSuffix(d.name("u"), "u4"), Rooms: d.names("r")}
							}}
						},
					})
					for _, n := range c.nodes {
						t.Cleanup(n.Stop)
					}
					for _, n := range c.nodes {
						_, conn := dial(t, n, Options{Info: Info{Node: n.Self().Name}})
						c.apis = append(c.apis, fanoutv1.NewRegistryServiceClient(conn))
					}
					c.run(fmt.Sprintf("seed %d", seed), 6, 60)
					for _, r := range c.readers {
						resyncs += r.resyncs
						r.cancel()
						<-r.over
					}
					for _, ws := range c.browsers {
						ws.Close()
					}
				})
			}
			if number > 1 && resyncs == 0 {
				t.Error("no node was ever told anew")
			}
		})
	}
}
