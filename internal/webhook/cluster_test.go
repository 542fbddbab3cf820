package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/cluster/clustertest"
	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// hookNode is a node of a cluster, each of which brings events to the same endpoint.
type hookNode struct {
	*clustertest.Node
	services *control.Services
	server   *Server
	dead     atomic.Bool // its requests come to nobody
}

// inCluster runs f in fake time with three nodes and one endpoint, which answers so.
func inCluster(t *testing.T, answer answering, f func(nodes []*hookNode, endpoint *endpointServer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := &endpointServer{listener: wiretest.Listen(), busy: map[string]int{}}
		e.http = &http.Server{Handler: e.serve(answer)}
		e.http.SetKeepAlivesEnabled(false) // so that a node that is dead has no connection
		go e.http.Serve(e.listener)
		var nodes []*hookNode
		for _, c := range clustertest.Start(t, 3, clustertest.Options{}) {
			n, log := &hookNode{Node: c}, slog.New(slog.DiscardHandler)
			name := c.Self().Name
			n.services = control.New(c, control.Options{
				Dispatcher: control.ClusterDispatcherOf(c.Consumers), Keys: c, Info: control.Info{Node: name, MaxPayload: 1e6}, Logger: log,
			})
			n.server = New(Options{
				Node: name, Events: n.services.Events, Operations: n.services.Emitter, Logger: log,
				dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					if n.dead.Load() {
						return nil, errors.New("the node is dead")
					}
					return e.dial(ctx, network, address)
				},
			})
			n.server.Set([]Endpoint{{URL: "http://endpoint/hear", Group: "hooks"}})
			nodes = append(nodes, n)
		}
		time.Sleep(time.Second) // until each node knows the consumers of the others
		defer func() {          // also after a Fatal
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			for _, n := range nodes {
				if err := n.server.Close(ctx); err != nil {
					t.Errorf("Close of %s: %v", n.Self().Name, err)
				}
				n.services.EndStreams()
				n.services.Wait()
			}
			for _, n := range nodes {
				n.Stop()
			}
			for _, n := range nodes {
				for _, g := range n.Local.Groups() {
					_, _ = n.Local.DeleteGroup(g.Name)
				}
			}
			if err := e.http.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown of the endpoint: %v", err)
			}
		}()
		f(nodes, e)
	})
}

// by is the node that brought an event.
func (r *request) by() string {
	node, _, _ := strings.Cut(strings.TrimPrefix(r.header.Get("Ce-Source"), "/"), "/")
	return node
}

// deliveries are requests by connection, in order.
func deliveries(all []request) map[string][]request {
	of := map[string][]request{}
	for _, r := range all {
		of[r.event.GetConnectionId()] = append(of[r.event.GetConnectionId()], r)
	}
	return of
}

// Three nodes that bring events to one endpoint share them: each event comes once, from
// whichever node, and those of a connection in order. When a node dies, the events of the
// connections at the others come all the same, and in order: again only what it was bringing.
func TestCluster(t *testing.T) {
	slow := func(w http.ResponseWriter, e *fanoutv1.Event) {
		time.Sleep(300 * time.Millisecond) // so that there is always something under way
		accept(w, e)
	}
	inCluster(t, slow, func(nodes []*hookNode, endpoint *endpointServer) {
		const (
			each    = 40 // events of a browser in each half
			perNode = 16 // browsers: so many that each node is sure to bring events of others' browsers
		)
		var browsers []*wiretest.WS
		survives := map[string]bool{}
		for i, n := range nodes {
			for range perNode {
				c, id := n.Browsers.Connect(t, "")
				c.Idle()
				browsers = append(browsers, c)
				survives[id] = i < 2
			}
		}
		say := func(browsers []*wiretest.WS, from int) {
			for i := range each {
				for _, c := range browsers {
					c.Say(fmt.Sprintf(`42["e",%d]`, from+i))
				}
			}
		}
		say(browsers, 0)
		time.Sleep(time.Minute)
		by := map[string]int{}
		first := deliveries(endpoint.came())
		for id, all := range first {
			for i, r := range all {
				by[r.by()]++
				if r.event.GetArgsJson() != fmt.Sprintf("[%d]", i) || r.event.GetAttempt() != 1 {
					t.Errorf("%s: event %d is %s, attempt %d", id, i, r.event.GetArgsJson(), r.event.GetAttempt())
				}
			}
			if len(all) != each {
				t.Errorf("%s: %d events came, want %d", id, len(all), each)
			}
		}
		if len(first) != len(browsers) || len(by) != 3 {
			t.Fatalf("events of %d connections came, by %v", len(first), by)
		}
		endpoint.mu.Lock()
		if endpoint.overlap {
			t.Error("two events of one connection were under way at once")
		}
		endpoint.mu.Unlock()

		dead := nodes[2]
		say(browsers[:2*perNode], each)
		time.Sleep(time.Second)
		dead.dead.Store(true)
		for _, n := range nodes[:2] {
			n.Bus.Cut("n3", n.Self().Name)
			n.Bus.Cut(n.Self().Name, "n3")
		}
		time.Sleep(5 * time.Minute)
		again, moved := 0, 0
		for id, all := range deliveries(endpoint.came()) {
			if !survives[id] {
				continue
			}
			next, before := each, ""
			for _, r := range all {
				switch got := r.event.GetArgsJson(); {
				case got == fmt.Sprintf("[%d]", next):
					if before == "n3" && r.by() != "n3" {
						moved++
					}
					next, before = next+1, r.by()
				case got == fmt.Sprintf("[%d]", next-1) && before == "n3" && r.by() != "n3":
					again, before = again+1, r.by()
				default:
					t.Errorf("%s: %s came from %s, attempt %d, where %d is next", id, got, r.by(), r.event.GetAttempt(), next)
				}
			}
			if next != 2*each {
				t.Errorf("%s: events came up to %d, want %d", id, next, 2*each)
			}
		}
		t.Logf("by node: %v; %d events came again, %d connections moved", by, again, moved)
		if again+moved == 0 {
			t.Error("the node that died was bringing nothing: little is shown by that")
		}
		for _, n := range nodes[:2] {
			n.Bus.Heal("n3", n.Self().Name)
			n.Bus.Heal(n.Self().Name, "n3")
		}
		for _, c := range browsers {
			c.Close()
		}
		time.Sleep(time.Minute) // the node that was away is one of them again
	})
}
