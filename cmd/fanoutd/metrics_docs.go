package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/fanoutd/fanoutd/internal/ops"
)

// printMetricsDocs prints docs/metrics.md.
func printMetricsDocs(w io.Writer) {
	fmt.Fprint(w, `# Metrics

<!-- Written by "fanoutd metrics" from what internal/ops declares: "make generate" renews it. -->

What `+"`/metrics`"+` on `+"`ops-listen`"+` has, for Prometheus. [operating.md](operating.md#what-to-watch) says which
of them to look at and when; [deploy/prometheus](../deploy/prometheus/alerts.yaml) has alerts, and
[deploy/grafana](../deploy/grafana/fanoutd.json) a dashboard.

- A counter begins at 0 when the daemon starts, and ends in `+"`_total`"+`. It never falls: use `+"`rate`"+` or `+"`increase`"+`.
- A histogram is `+"`…_bucket`, `…_sum` and `…_count`"+`, in seconds.
- Each node of a cluster counts for itself: sum over them.
- A series with labels is there from the first time that it has something to count; those of which
  every value is known before are there from the start.
- Beside these there are the metrics of the Go runtime, `+"`go_…`"+`, and of the process, `+"`process_…`"+`, as Prometheus'
  client library for Go defines them.
`)
	for _, family := range ops.Families() {
		fmt.Fprintf(w, "\n## %s\n\n", family.Title)
		if family.When != "" {
			fmt.Fprintf(w, "They are there %s.\n\n", family.When)
		}
		fmt.Fprint(w, "| metric | type | labels | what |\n|---|---|---|---|\n")
		for _, m := range family.Metrics {
			labels := make([]string, len(m.Labels))
			for i, name := range m.Labels {
				labels[i] = "`" + name + "`"
			}
			fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(labels, ", "), m.Help)
		}
	}
	fmt.Fprint(w, "\n## Labels\n\n| label | values |\n|---|---|\n")
	for _, label := range ops.Labels() {
		fmt.Fprintf(w, "| `%s` | %s |\n", label.Name, label.Values)
	}
}
