package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// routes are the ways between the nodes of a cluster. Each node reaches each other one by
// a proxy of its own: so what one says to another can be lost or late alone.
type routes struct {
	proxies map[route]*toxiproxy.Proxy
}

// route is where connections of one node to another go, by their numbers. Either may be
// the one that connects.
type route struct{ from, to int }

// nowhere is what nodes tell each other of where they listen: without it they would find
// ways past the proxies.
const nowhere = "127.0.0.1:1"

// startRoutedNodes is startNodes with proxies between the nodes.
func startRoutedNodes(ctx context.Context, t *testing.T, path string, number int) ([]*clusterNode, *routes) {
	t.Helper()
	listens := freeAddresses(t, number)
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	r := &routes{proxies: map[route]*toxiproxy.Proxy{}}
	flags := func(i int) []string {
		var peers []string
		for j := range listens {
			if j != i {
				peers = append(peers, r.proxies[route{i, j}].Listen)
			}
		}
		return []string{"--cluster-advertise=" + nowhere, "--cluster-peers=" + strings.Join(peers, ",")}
	}
	for i := range listens {
		for j, listen := range listens {
			if i == j {
				continue
			}
			p := toxiproxy.NewProxy(server, fmt.Sprintf("n%d-n%d", i+1, j+1), "127.0.0.1:0", listen)
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Stop)
			r.proxies[route{i, j}] = p
		}
	}
	return startNodesWith(ctx, t, path, listens, flags), r
}

// cut has everything lost that one node says to another, in silence.
func (r *routes) cut(t *testing.T, from, to int) {
	t.Helper()
	r.add(t, from, to, "timeout", map[string]int64{"timeout": 0})
}

// delay has everything come later that one node says to another.
func (r *routes) delay(t *testing.T, from, to int, by time.Duration) {
	t.Helper()
	r.add(t, from, to, "latency", map[string]int64{"latency": by.Milliseconds()})
}

// breakOff closes what connections there are between two nodes.
func (r *routes) breakOff(t *testing.T, a, b int) {
	t.Helper()
	for _, p := range []*toxiproxy.Proxy{r.proxies[route{a, b}], r.proxies[route{b, a}]} {
		p.Stop()
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *routes) add(t *testing.T, from, to int, toxic string, attributes map[string]int64) {
	t.Helper()
	for stream, p := range map[string]*toxiproxy.Proxy{"upstream": r.proxies[route{from, to}], "downstream": r.proxies[route{to, from}]} {
		text, err := json.Marshal(map[string]any{"type": toxic, "stream": stream, "attributes": attributes})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(string(text))); err != nil {
			t.Fatal(err)
		}
	}
}

// heal ends whatever cut and delay have begun. Connections that have lost something are
// closed.
func (r *routes) heal(ctx context.Context) {
	for _, p := range r.proxies {
		p.Toxics.ResetToxics(ctx)
	}
}
