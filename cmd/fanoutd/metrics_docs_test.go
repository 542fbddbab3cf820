package main

import (
	"bytes"
	"os"
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
