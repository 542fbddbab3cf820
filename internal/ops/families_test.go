package ops

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/admission/hook"
	"github.com/fanoutd/fanoutd/internal/admission/token"
	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/certfile"
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/forward"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/loadmeter"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/webhook"
)

// What a registry of all sources has is what the families list, and nothing else.
func TestFamilies(t *testing.T) {
	registry := NewRegistry(Build{}, Sources{
		Process:      func() (p Process) { return p },
		Load:         func() (l loadmeter.Load) { return l },
		Sockets:      func() (s sio.Stats) { return s },
		Consumers:    func() (s dispatch.Stats) { return s },
		Admission:    func() (s admission.Stats) { return s },
		Tokens:       func() (s token.Stats) { return s },
		Hook:         func() (s hook.Stats) { return s },
		Webhooks:     func() (s webhook.Stats) { return s },
		Blocks:       func() (c blocks.Counts) { return c },
		Refusals:     func() map[string]uint64 { return nil },
		Connections:  func() (c Connections) { return c },
		Bus:          func() (s bus.Stats) { return s },
		Nodes:        func() (s cluster.Stats) { return s },
		Forward:      func() (s forward.Stats) { return s },
		Calls:        func() []Calls { return nil },
		State:        func() (s State) { return s },
		Certificates: func() []certfile.Expiry { return nil },
	})
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		registry.Describe(descs)
	}()
	name := regexp.MustCompile(`fqName: "(fanoutd_[^"]*)"`)
	var registered []string
	for d := range descs {
		if m := name.FindStringSubmatch(d.String()); m != nil {
			registered = append(registered, m[1])
		}
	}
	var listed []string
	for _, family := range Families() {
		for _, m := range family.Metrics {
			listed = append(listed, m.Name)
		}
	}
	slices.Sort(registered)
	slices.Sort(listed)
	if !slices.Equal(registered, listed) {
		t.Errorf("registered %q\nlisted %q", registered, listed)
	}
	if len(listed) < 70 {
		t.Errorf("only %d metrics", len(listed))
	}
}

// Each metric is compared with what clients count, or has a reason why not, by TestMetrics of
// test/; and a panel of the dashboard shows it, or a test of tools/monitoring says why not. This
// is faster than these, and looks for the names alone.
func TestEveryMetricIsLookedAt(t *testing.T) {
	for _, files := range []string{"../../test/metrics_*_test.go ../../test/metrics_test.go", "../../deploy/grafana/fanoutd.json ../../tools/monitoring/dashboard_test.go"} {
		var all []byte
		for pattern := range strings.FieldsSeq(files) {
			paths, err := filepath.Glob(pattern)
			if err != nil || len(paths) == 0 {
				t.Fatalf("%s: %v", pattern, err)
			}
			for _, path := range paths {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, text...)
			}
		}
		names := map[string]bool{}
		for _, name := range regexp.MustCompile(`fanoutd_[a-z_]+`).FindAllString(string(all), -1) {
			for _, part := range []string{"_bucket", "_count"} {
				name = strings.TrimSuffix(name, part)
			}
			names[name] = true
		}
		for _, family := range Families() {
			for _, m := range family.Metrics {
				// TestMetrics puts the names of packets' metrics together.
				if !names[m.Name] && !(strings.HasPrefix(m.Name, "fanoutd_packet") && names["fanoutd_packets_"]) {
					t.Errorf("%s is in none of %s", m.Name, files)
				}
			}
		}
	}
}

// Names, helps and labels follow Prometheus' conventions and are whole by themselves: a
// page of metrics shows one without the others.
func TestDescriptions(t *testing.T) {
	unused := map[string]bool{}
	for _, label := range Labels() {
		unused[label.Name] = true
	}
	known := len(unused)
	total, sentence := regexp.MustCompile(`_total$`), regexp.MustCompile(`^[A-Z0-9].*[^ ]\.$`)
	sibling := regexp.MustCompile(`(?i)^of (these|those|which)\b|\bof (those|these)\.`)
	for _, family := range Families() {
		for _, m := range family.Metrics {
			if total.MatchString(m.Name) != (m.Type == Counter) {
				t.Errorf("%s is a %s", m.Name, m.Type)
			}
			if m.Type == Histogram && !regexp.MustCompile(`_seconds$`).MatchString(m.Name) {
				t.Errorf("%s is a histogram of seconds", m.Name)
			}
			if !sentence.MatchString(m.Help) || sibling.MatchString(m.Help) {
				t.Errorf("%s: %q is no sentence of its own", m.Name, m.Help)
			}
			for _, label := range m.Labels {
				delete(unused, label)
				if !slices.ContainsFunc(Labels(), func(l Label) bool { return l.Name == label }) {
					t.Errorf("%s has the label %s, which is not described", m.Name, label)
				}
			}
		}
	}
	if len(unused) > 0 || known < 5 {
		t.Errorf("no metric has %v, of %d labels", unused, known)
	}
}
