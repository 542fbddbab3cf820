package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboardFile = "deploy/grafana/fanoutd.json"

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource struct{ UID string }
	GridPos    struct{ H, W, X, Y int }
	Targets    []struct{ RefID, Expr, LegendFormat string }
}

type dashboard struct {
	Title      string
	UID        string
	Panels     []panel
	Templating struct {
		List []struct {
			Name  string
			Type  string
			Query any
		}
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, dashboardFile))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The dashboard asks for metrics that there are, by labels that they have.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	label := regexp.MustCompile(`\{\{\s*([a-z_]+)\s*\}\}`)
	metrics, err := known()
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	ids, titles, used := map[int]bool{}, map[string]bool{}, map[string]bool{}
	places := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || titles[p.Title] {
			t.Errorf("panel %d, %q, is there twice", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := places[[2]int{x, y}]; taken || x >= 24 {
					t.Errorf("panel %q is where %q is, or beyond the edge", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %q has the source %q and %d targets", p.Title, p.Datasource.UID, len(p.Targets))
		}
		for _, target := range p.Targets {
			text := variables.Replace(target.Expr)
			if strings.Contains(text, "$") {
				t.Errorf("panel %q: a variable is not known in %s", p.Title, target.Expr)
			}
			if !strings.Contains(target.Expr, `{job=~"$job",instance=~"$instance"`) {
				t.Errorf("panel %q does not look at the variables: %s", p.Title, target.Expr)
			}
			there := slices.Clone(ofTarget)
			for _, name := range check(t, "panel "+p.Title, text) {
				used[name] = true
				there = append(there, metrics[name]...)
			}
			for _, m := range label.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(there, m[1]) {
					t.Errorf("panel %q: its legend has %q, which nothing in it has", p.Title, m[1])
				}
			}
		}
	}
	want := []string{"Traffic", "Fan-out", "Queues", "Consumers", "Webhooks", "Closes", "Recovery", "Drain", "Cluster", "Process"}
	if !slices.Equal(rows, want) {
		t.Errorf("its rows are %q, want %q", rows, want)
	}
	for name := range metrics {
		if strings.HasPrefix(name, "fanoutd_") && !used[name] && !notShown(name) {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// notShown are metrics that say what another does: parts of a histogram that its quantiles are
// computed without, and a time that is a rate of its own.
func notShown(name string) bool {
	return strings.HasSuffix(name, "_seconds_sum") || strings.HasSuffix(name, "_seconds_count") ||
		slices.Contains([]string{"fanoutd_token_keys_ready", "fanoutd_events_delay_seconds_total", "fanoutd_bus_dropped_total", "fanoutd_bus_reconnects_total"}, name)
}
