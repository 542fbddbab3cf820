package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/ops"
)

// docs/metrics.md is what the metrics that are declared generate.
func TestMetricsDocs(t *testing.T) {
	const path = "../../docs/metrics.md"
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want, stderr bytes.Buffer
	if code := run(t.Context(), []string{"metrics"}, nil, &want, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is stale: run \"make generate-docs\" and commit the result", path)
	}
	for _, family := range ops.Families() {
		for _, m := range family.Metrics {
			if n := strings.Count(want.String(), "\n| `"+m.Name+"` | "); n != 1 {
				t.Errorf("%s is documented %d times", m.Name, n)
			}
		}
	}
}

// "fanoutd metrics" takes nothing behind it.
func TestMetricsCommand(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"metrics", "--demo=secret"}, nil, &stdout, &stderr); code != exitSettings || stdout.Len() > 0 || stderr.String() != "fanoutd: metrics takes nothing behind it, and there is [\"--demo\"]\n" {
		t.Errorf("exit code %d, %q, %q", code, &stdout, &stderr)
	}
}

// The metrics that the text of the operators' pages and the Helm chart name are there.
func TestMetricsThatAreNamed(t *testing.T) {
	known := map[string]bool{}
	for _, family := range ops.Families() {
		for _, m := range family.Metrics {
			known[m.Name] = true
		}
	}
	named := regexp.MustCompile(`\bfanoutd_[a-z_]*[a-z]\b`)
	for _, path := range []string{"../../docs/operating.md", "../../docs/deploying.md", "../../docs/cluster.md", "../../deploy/helm/fanoutd/values.yaml", "../../deploy/helm/fanoutd/templates/autoscaler.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if name = strings.TrimSuffix(name, "_bucket"); !known[name] {
				t.Errorf("%s names %s, which is no metric", path, name)
			}
		}
	}
}
