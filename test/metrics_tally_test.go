package test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tally is what clients have counted themselves, by series as /metrics has them. What
// it has no count of is 0. It is safe for concurrent use.
type tally struct {
	mu     sync.Mutex
	counts map[string]float64
}

func newTally() *tally { return &tally{counts: map[string]float64{}} }

func (c *tally) add(n float64, name string, labels ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[series(name, labels...)] += n
}

func (c *tally) count(name string, labels ...string) { c.add(1, name, labels...) }

func (c *tally) set(n float64, name string, labels ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[series(name, labels...)] = n
}

func (c *tally) all() map[string]float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// series is a metric's name with its labels, given as names and values in the order of the
// names, as the exposition format has it.
func series(name string, labels ...string) string {
	if len(labels) == 0 {
		return name
	}
	pairs := make([]string, 0, len(labels)/2)
	for i := 0; i < len(labels); i += 2 {
		pairs = append(pairs, fmt.Sprintf("%s=%q", labels[i], labels[i+1]))
	}
	return name + "{" + strings.Join(pairs, ",") + "}"
}

// packetTypes are the names of Engine.IO's packets, by their digit.
var packetTypes = []string{"open", "close", "ping", "pong", "message", "upgrade", "noop"}

// packet counts a packet of Engine.IO v4, as it stands in a WebSocket's frame, that a client
// has sent (to: received) or received (to: sent).
func (c *tally) packet(to, transport, packet string, binary bool) {
	kind := "message"
	if !binary {
		kind = packetTypes[packet[0]-'0']
	}
	c.count("fanoutd_packets_"+to+"_total", "transport", transport, "type", kind)
	c.add(float64(len(packet)), "fanoutd_packet_bytes_"+to+"_total", "transport", transport, "type", kind)
}

// metricName is the name of the metric that a series belongs to.
func metricName(series string) string {
	name, _, _ := strings.Cut(series, "{")
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if whole, ok := strings.CutSuffix(name, part); ok && strings.HasSuffix(whole, "_seconds") {
			return whole
		}
	}
	return name
}

// differences is where a page of metrics is not what clients counted, a line each. Only
// series that are compared count.
func differences(page, counted map[string]float64, compared func(series string) bool) (lines []string) {
	all := maps.Clone(counted)
	for s := range page {
		if _, ok := all[s]; !ok {
			all[s] = 0
		}
	}
	for _, s := range slices.Sorted(maps.Keys(all)) {
		if page[s] != all[s] && compared(s) {
			lines = append(lines, fmt.Sprintf("%s is %v, and clients counted %v", s, page[s], all[s]))
		}
	}
	return lines
}

func TestDifferences(t *testing.T) {
	page := map[string]float64{`a{x="1"}`: 1, "b": 2, "c": 3, "d_seconds_bucket": 4, "zero": 0}
	counted := map[string]float64{`a{x="1"}`: 1, "b": 1, "e": 5}
	got := differences(page, counted, func(s string) bool { return metricName(s) != "d_seconds" })
	want := []string{"b is 2, and clients counted 1", "c is 3, and clients counted 0", "e is 0, and clients counted 5"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
