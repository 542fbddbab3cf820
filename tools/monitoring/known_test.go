package monitoring

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// root is the source of the daemon.
const root = "../.."

// ofTarget are the labels that Prometheus itself adds to each series.
var ofTarget = []string{"job", "instance"}

// known are the metrics that there are, with their labels, those of a histogram's series too.
var known = sync.OnceValues(func() (map[string][]string, error) {
	all := map[string][]string{"up": nil}
	cmd := exec.Command("go", "run", "./cmd/fanoutd", "metrics")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	page, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	row := regexp.MustCompile("(?m)^\\| `(fanoutd_[a-z_]+)` \\| (counter|gauge|histogram) \\| ([^|]*) \\|")
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		var names []string
		for name := range strings.SplitSeq(strings.NewReplacer("`", "", " ", "").Replace(m[3]), ",") {
			if name != "" {
				names = append(names, name)
			}
		}
		if m[2] == "histogram" {
			all[m[1]+"_bucket"] = append(slices.Clone(names), "le")
			all[m[1]+"_sum"], all[m[1]+"_count"] = names, names
			continue
		}
		all[m[1]] = names
	}
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := r.Gather()
	if err != nil {
		return nil, err
	}
	for _, f := range families {
		var names []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			names = append(names, l.GetName())
		}
		all[f.GetName()] = names
	}
	return all, nil
})

// check reports what is wrong with an expression: its metrics, their labels, and those that it
// groups by.
func check(t *testing.T, where, text string) (of []string) {
	t.Helper()
	metrics, err := known()
	if err != nil {
		t.Fatal(err)
	}
	if len(metrics) < 100 {
		t.Fatalf("only %d metrics are known", len(metrics))
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v in %s", where, err, text)
		return nil
	}
	there := slices.Clone(ofTarget)
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		names, ok := metrics[v.Name]
		if !ok {
			t.Errorf("%s: there is no metric %q", where, v.Name)
		}
		of = append(of, v.Name)
		there = append(there, names...)
		for _, m := range v.LabelMatchers {
			if m.Name != labels.MetricName && !slices.Contains(names, m.Name) && !slices.Contains(ofTarget, m.Name) {
				t.Errorf("%s: %s has no label %q", where, v.Name, m.Name)
			}
			checkValue(t, where, v.Name, m)
		}
		return nil
	})
	grouped := func(names []string) {
		for _, name := range names {
			if !slices.Contains(there, name) {
				t.Errorf("%s: it groups by %q, which nothing in it has", where, name)
			}
		}
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			grouped(n.Grouping)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				grouped(n.VectorMatching.MatchingLabels)
				grouped(n.VectorMatching.Include)
			}
		}
		return nil
	})
	return of
}

// checkValue reports a value that a label of a metric never has.
func checkValue(t *testing.T, where, metric string, m *labels.Matcher) {
	t.Helper()
	page, err := scraped()
	if err != nil {
		t.Fatal(err)
	}
	if m.Name == labels.MetricName || slices.Contains(ofTarget, m.Name) {
		return
	}
	if m.Name == "code" { // from the first call on
		page = map[string]map[string]bool{metric + " code": codes}
	}
	for value := range page[metric+" "+m.Name] {
		if m.Matches(value) {
			return
		}
	}
	t.Errorf("%s: no %s of %s matches %s, of %q", where, m.Name, metric, m, slices.Sorted(maps.Keys(page[metric+" "+m.Name])))
}
