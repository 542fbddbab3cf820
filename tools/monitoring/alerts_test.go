package monitoring

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

const alertsFile = "deploy/prometheus/alerts.yaml"

func readAlerts(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, alertsFile))
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	all := map[string]rulefmt.Rule{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if _, twice := all[rule.Alert]; twice || rule.Alert == "" {
				t.Errorf("%q is there twice, or no alert", rule.Alert)
			}
			all[rule.Alert] = rule
		}
	}
	return all
}

// The alerts are what Prometheus reads, ask for metrics that there are, and say what to do.
func TestAlerts(t *testing.T) {
	alerts := readAlerts(t)
	if len(alerts) < 20 {
		t.Fatalf("only %d alerts", len(alerts))
	}
	label := regexp.MustCompile(`\$labels\.([a-z_]+)`)
	for name, a := range alerts {
		of := check(t, name, a.Expr)
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", name, s)
		}
		if len(a.Annotations["summary"]) < 20 || len(a.Annotations["description"]) < 60 {
			t.Errorf("%s says %q, %q", name, a.Annotations["summary"], a.Annotations["description"])
		}
		checkRunbook(t, name, a.Annotations["runbook_url"])
		metrics, err := known()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range label.FindAllStringSubmatch(a.Annotations["summary"]+a.Annotations["description"], -1) {
			there := strings.Join(ofTarget, " ") + " "
			for _, metric := range of {
				there += strings.Join(metrics[metric], " ") + " "
			}
			if !strings.Contains(" "+there, " "+m[1]+" ") {
				t.Errorf("%s shows the label %q, which nothing in it has", name, m[1])
			}
		}
	}
}

// checkRunbook reports a link that leads to no heading of docs/.
func checkRunbook(t *testing.T, name, link string) {
	t.Helper()
	path, ok := strings.CutPrefix(link, "https://github.com/fanoutd/fanoutd/blob/main/")
	file, anchor, _ := strings.Cut(path, "#")
	text, err := os.ReadFile(filepath.Join(root, file))
	if !ok || err != nil {
		t.Errorf("%s links to %q: %v", name, link, err)
		return
	}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllSubmatch(text, -1) {
		if strings.ReplaceAll(strings.ToLower(string(heading[1])), " ", "-") == anchor {
			return
		}
	}
	t.Errorf("%s links to %q, and there is no such heading", name, link)
}

// Each alert fires on what it is about, and on nothing that is as it should be: series are
// as of one sample a minute for an hour.
func TestAlertsFire(t *testing.T) {
	const steady = `
		up{job="fanoutd",instance="a"} 1x60
		fanoutd_ready{job="fanoutd",instance="a"} 1x60
		fanoutd_draining{job="fanoutd",instance="a"} 0x60
		fanoutd_build_info{job="fanoutd",instance="a"} 1x60
		fanoutd_load_ratio{job="fanoutd",instance="a"} 0.5x60
		process_open_fds{job="fanoutd",instance="a"} 100x60
		process_max_fds{job="fanoutd",instance="a"} 1000x60
		process_open_fds{job="other",instance="a"} 999x60
		process_max_fds{job="other",instance="a"} 1000x60
		fanoutd_panics_total{job="fanoutd",instance="a",of="browsers"} 3x60
		fanoutd_log_lines_lost_total{job="fanoutd",instance="a"} 7x60
		fanoutd_tls_certificate_expiry_timestamp_seconds{job="fanoutd",instance="a",shown_to="browsers"} 9000000x60
		fanoutd_refused_total{job="fanoutd",instance="a",reason="max-sessions"} 0x60
		fanoutd_refused_total{job="fanoutd",instance="a",reason="unknown-session"} 0+600x60
		fanoutd_sessions_closed_total{job="fanoutd",instance="a",reason="transport close"} 0+600x60
		fanoutd_sessions_closed_total{job="fanoutd",instance="a",reason="slow consumer"} 0+6x60
		fanoutd_sessions_closed_total{job="fanoutd",instance="a",reason="ping timeout"} 0+60x60
		fanoutd_upgrades_total{job="fanoutd",instance="a",transport="websocket"} 0+600x60
		fanoutd_upgrades_failed_total{job="fanoutd",instance="a"} 0+60x60
		fanoutd_fanout_duration_seconds_bucket{job="fanoutd",instance="a",le="0.1"} 0+600x60
		fanoutd_fanout_duration_seconds_bucket{job="fanoutd",instance="a",le="1"} 0+600x60
		fanoutd_fanout_duration_seconds_bucket{job="fanoutd",instance="a",le="+Inf"} 0+600x60
		fanoutd_recoveries_total{job="fanoutd",instance="a",result="recovered"} 0+60x60
		fanoutd_recoveries_total{job="fanoutd",instance="a",result="evicted"} 0+1x60
		fanoutd_admissions_total{job="fanoutd",instance="a",outcome="admitted"} 0+600x60
		fanoutd_admissions_total{job="fanoutd",instance="a",outcome="unavailable"} 0+1x60
		fanoutd_token_keys_ready{job="fanoutd",instance="a"} 1x60
		fanoutd_group_oldest_pending_seconds{job="fanoutd",instance="a",group="g"} 1x60
		fanoutd_deliveries_dropped_total{job="fanoutd",instance="a"} 5x60
		fanoutd_group_dead_letters_total{job="fanoutd",instance="a",group="g"} 2x60
		fanoutd_dead_letters_dropped_total{job="fanoutd",instance="a"} 2x60
		fanoutd_consumers_stalled_total{job="fanoutd",instance="a"} 2x60
		fanoutd_sessions_stalled_total{job="fanoutd",instance="a"} 2x60
		fanoutd_webhook_requests_total{job="fanoutd",instance="a",group="g",outcome="handled"} 0+600x60
		fanoutd_webhook_requests_total{job="fanoutd",instance="a",group="g",outcome="failed"} 0+6x60
		fanoutd_control_calls_total{job="fanoutd",instance="a",method="m",code="OK"} 0+600x60
		fanoutd_control_calls_total{job="fanoutd",instance="a",method="m",code="Internal"} 4x60
		fanoutd_control_auth_failures_total{job="fanoutd",instance="a",reason="KEY_INVALID"} 4x60
		fanoutd_control_connections_closed_total{job="fanoutd",instance="a",reason="control-max-connections"} 4x60
		fanoutd_bus_connected{job="fanoutd",instance="a"} 1x60
		fanoutd_nodes_suspected{job="fanoutd",instance="a"} 0x60
		fanoutd_nodes_alive{job="fanoutd",instance="a"} 1x60
		fanoutd_nodes_alive{job="fanoutd",instance="b"} 1x60
		fanoutd_node_messages_refused_total{job="fanoutd",instance="a"} 4x60
		fanoutd_node_messages_lost_total{job="fanoutd",instance="a"} 4x60
		fanoutd_requests_forward_failed_total{job="fanoutd",instance="a"} 4x60
	`
	fires := map[string]string{ // on these series instead of those
		"FanoutdDown":                   `up{job="fanoutd",instance="a"} 0x60`,
		"FanoutdNotReady":               `fanoutd_ready{job="fanoutd",instance="a"} 0x60`,
		"FanoutdDrainTakesLong":         `fanoutd_draining{job="fanoutd",instance="a"} 1x60`,
		"FanoutdBusy":                   `fanoutd_load_ratio{job="fanoutd",instance="a"} 0.9x60`,
		"FanoutdFilesRunOut":            `process_open_fds{job="fanoutd",instance="a"} 900x60`,
		"FanoutdPanics":                 `fanoutd_panics_total{job="fanoutd",instance="a",of="browsers"} 0x58 1x1`,
		"FanoutdLogLinesLost":           `fanoutd_log_lines_lost_total{job="fanoutd",instance="a"} 0x58 1x1`,
		"FanoutdCertificateExpires":     `fanoutd_tls_certificate_expiry_timestamp_seconds{job="fanoutd",instance="a",shown_to="browsers"} 1000000x60`,
		"FanoutdCertificateExpired":     `fanoutd_tls_certificate_expiry_timestamp_seconds{job="fanoutd",instance="a",shown_to="browsers"} 0x60`,
		"FanoutdBrowsersRefused":        `fanoutd_refused_total{job="fanoutd",instance="a",reason="max-sessions"} 0+120x60`,
		"FanoutdSlowConsumers":          `fanoutd_sessions_closed_total{job="fanoutd",instance="a",reason="slow consumer"} 0+60x60`,
		"FanoutdPingTimeouts":           `fanoutd_sessions_closed_total{job="fanoutd",instance="a",reason="ping timeout"} 0+300x60`,
		"FanoutdUpgradesFail":           `fanoutd_upgrades_failed_total{job="fanoutd",instance="a"} 0+601x60`,
		"FanoutdFanOutSlow":             `fanoutd_fanout_duration_seconds_bucket{job="fanoutd",instance="a",le="0.1"} 0+500x60`,
		"FanoutdRecoveryForgets":        `fanoutd_recoveries_total{job="fanoutd",instance="a",result="evicted"} 0+6x60`,
		"FanoutdNobodyDecides":          `fanoutd_admissions_total{job="fanoutd",instance="a",outcome="unavailable"} 0+60x60`,
		"FanoutdTokenKeysMissing":       `fanoutd_token_keys_ready{job="fanoutd",instance="a"} 0x60`,
		"FanoutdGroupBehind":            `fanoutd_group_oldest_pending_seconds{job="fanoutd",instance="a",group="g"} 30x60`,
		"FanoutdEventsDropped":          `fanoutd_deliveries_dropped_total{job="fanoutd",instance="a"} 0x58 1x1`,
		"FanoutdDeadLetters":            `fanoutd_group_dead_letters_total{job="fanoutd",instance="a",group="g"} 0x58 1x1`,
		"FanoutdDeadLettersForgotten":   `fanoutd_dead_letters_dropped_total{job="fanoutd",instance="a"} 0x58 1x1`,
		"FanoutdConsumersHang":          `fanoutd_sessions_stalled_total{job="fanoutd",instance="a"} 0x58 1x1`,
		"FanoutdWebhookFails":           `fanoutd_webhook_requests_total{job="fanoutd",instance="a",group="g",outcome="failed"} 0+120x60`,
		"FanoutdControlErrors":          `fanoutd_control_calls_total{job="fanoutd",instance="a",method="m",code="Internal"} _x58 1x1`,
		"FanoutdCallersRefused":         `fanoutd_control_auth_failures_total{job="fanoutd",instance="a",reason="KEY_INVALID"} 0+1x60`,
		"FanoutdControlConnectionsFull": `fanoutd_control_connections_closed_total{job="fanoutd",instance="a",reason="control-max-connections"} 0x58 1x1`,
		"FanoutdBusAway":                `fanoutd_bus_connected{job="fanoutd",instance="a"} 0x60`,
		"FanoutdNodeSuspected":          `fanoutd_nodes_suspected{job="fanoutd",instance="a"} 1x60`,
		"FanoutdNodesMissing":           `fanoutd_nodes_alive{job="fanoutd",instance="b"} 0x60`,
		"FanoutdNodesLoseMessages":      `fanoutd_node_messages_lost_total{job="fanoutd",instance="a"} 0x58 1x1`,
		"FanoutdForwardingFails":        `fanoutd_requests_forward_failed_total{job="fanoutd",instance="a"} 0+1x60`,
	}
	alerts := readAlerts(t)
	for name := range fires {
		if _, ok := alerts[name]; !ok {
			t.Errorf("%s is no alert", name)
		}
	}
	for name, a := range alerts {
		t.Run(name, func(t *testing.T) {
			if n := firing(t, steady, a.Expr); n != 0 {
				t.Errorf("it fires %d times where all is well", n)
			}
			ill, ok := fires[name]
			if !ok {
				t.Fatal("nothing is there on which it fires")
			}
			if n := firing(t, instead(t, steady, ill), a.Expr); n != 1 {
				t.Errorf("it fires %d times, want 1", n)
			}
		})
	}
}

// instead returns series with one of them replaced.
func instead(t *testing.T, all, one string) string {
	t.Helper()
	series, _, _ := strings.Cut(one, " ")
	replaced := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(series) + ` .*$`)
	if !replaced.MatchString(all) {
		t.Fatalf("there is no %s", series)
	}
	return replaced.ReplaceAllString(all, strings.ReplaceAll(one, "$", "$$"))
}

// firing evaluates an expression at the end of the hour, and returns how many series it has.
func firing(t *testing.T, series, expr string) int {
	t.Helper()
	storage := promqltest.LoadedStorage(t, fmt.Sprintf("load 1m\n%s\n", strings.TrimSpace(series)))
	defer storage.Close()
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	query, err := engine.NewInstantQuery(t.Context(), storage, promql.NewPrometheusQueryOpts(false, 0, nil), expr, time.Unix(3600, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	return len(vector)
}
