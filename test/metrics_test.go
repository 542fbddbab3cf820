package test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
	"github.com/fanoutd/fanoutd/internal/ops"
)

// unseen are the metrics that no client can count here, each with the reason and with what
// tests it instead.
var unseen = map[string]string{
	"fanoutd_build_info": "its labels are no counts: TestPages",
	"fanoutd_tls_certificate_expiry_timestamp_seconds": "there is no certificate: TestWebTransportCertificate",
	"fanoutd_log_lines_lost_total":                     "what is missing in a log cannot be seen there: TestFaultLogStalls",
	"fanoutd_events_delayed_total":                     "a client sees that it is read late, not how often: TestBounds",
	"fanoutd_events_delay_seconds_total":               "nor for how long: TestPages",
	"fanoutd_load_ratio":                               "it changes all the time: TestMeter",
	"fanoutd_load_resource_ratio":                      "it changes all the time: TestMeter",
	"fanoutd_recoveries_total":                         "recovery is off: TestRecoveryIsNot",
	"fanoutd_hook_calls":                               "it is 0 whenever nothing is under way: TestConcurrency",
	"fanoutd_group_oldest_pending_seconds":             "it changes all the time: TestGroupCounts",
	"fanoutd_deliveries_lost_total":                    "it takes a group that hangs for 30 s: TestDeadGroupHoldsUpNobody",
	"fanoutd_sessions_stalled_total":                   "it takes consumers that hang for hold-timeout: TestNobodyElse",
	"fanoutd_consumers_stalled_total":                  "it takes a consumer that hangs: TestStalledSubscription",
	"fanoutd_dead_letters_dropped_total":               "it takes 1 MiB of dead letters: TestDeadLettersAreBounded",
	"fanoutd_watch_resyncs_total":                      "it takes a reader that is 16 MiB behind: TestWatchOfASlowReader",
	"fanoutd_offline_sessions":                         "recovery is off: TestOfflineIsCounted",
	"fanoutd_recovery_bytes":                           "recovery is off: TestOfflineIsCounted",
	"fanoutd_bus_connected":                            "there is one node: TestNodesMeet",
	"fanoutd_bus_routes":                               "there is one node: TestNodesMeet",
	"fanoutd_bus_dropped_total":                        "there is one node: TestNodesMeet",
	"fanoutd_bus_reconnects_total":                     "there is one node: TestExternalComesBack",
	"fanoutd_nodes_alive":                              "there is one node: TestSlowPeer",
	"fanoutd_nodes_suspected":                          "there is one node: TestPages",
	"fanoutd_node_messages_sent_total":                 "there is one node: TestPages",
	"fanoutd_node_messages_received_total":             "there is one node: TestPages",
	"fanoutd_node_packets_repaired_total":              "there is one node: TestNothingToRepair",
	"fanoutd_node_messages_refused_total":              "there is one node: TestClusterPartition",
	"fanoutd_node_messages_lost_total":                 "there is one node: TestClusterPartitionForLong",
	"fanoutd_node_requests_unanswered_total":           "there is one node: TestSlowPeer",
	"fanoutd_node_packets_bad_total":                   "there is one node: TestBadPackets",
	"fanoutd_requests_forwarded_total":                 "there is one node: TestForward",
	"fanoutd_requests_forward_failed_total":            "there is one node: TestOwnerAway",
}

// metricsTest is a daemon whose browsers, backends, consumers and hook count what they do.
type metricsTest struct {
	*siege
	*tally
	emitter  fanoutv1.EmitterServiceClient
	registry fanoutv1.RegistryServiceClient
	admin    fanoutv1.AdminServiceClient
}

// heardNamespaces are the namespaces in which a group hears everything.
var heardNamespaces = []string{"/", "/chat", "/gate"}

// happened counts what a browser did that consumers may hear.
func (m *metricsTest) happened(namespace string) {
	m.count("fanoutd_deliveries_events_total")
	if namespace != hookedNamespace && !slices.Contains(heardNamespaces, namespace) {
		m.count("fanoutd_deliveries_unheard_total")
	}
}

const (
	fullKey      = "the-key-that-may-do-everything"
	readKey      = "the-key-that-may-only-read"
	roomKey      = "the-key-of-one-room-alone"
	strangersKey = "the-key-of-nobody"
)

// TestMetrics has clients of every kind come, talk and go, who count all of it themselves:
// /metrics says the same, number by number.
func TestMetrics(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), siegePatience)
	t.Cleanup(cancel)
	m := &metricsTest{siege: &siege{T: t, ctx: ctx}, tally: newTally()}
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(keys, fmt.Appendf(nil, "- {name: full, key: %s}\n- {name: reader, key: %s, scopes: [read]}\n- {name: room, key: %s, rooms: [mine]}\n", fullKey, readKey, roomKey), 0o600); err != nil {
		t.Fatal(err)
	}
	m.daemon = startDaemon(ctx, t,
		"--namespaces=/,/chat,/quiet,/gate,/drop,/hooked,/room-*", "--ping-interval=1s", "--ping-timeout=5s", "--connect-timeout=5s",
		"--max-queue=65536", "--verdict-timeout=2s", "--max-attempts=2", "--no-consumer=/drop=drop", "--hook="+serveCountingHook(t, m.tally),
		"--webhook-url="+serveCountingWebhook(t, m.tally), "--webhook-group="+hookedGroup, "--webhook-namespaces="+hookedNamespace, "--webhook-lifecycle",
		"--jwt-secret="+tokenSecret, "--jwt-algorithms=HS256", "--jwt-issuer=test", "--jwt-audience=test", "--control-keys-file="+keys)
	conn := m.backend(fullKey)
	m.emitter, m.registry, m.admin = fanoutv1.NewEmitterServiceClient(conn), fanoutv1.NewRegistryServiceClient(conn), fanoutv1.NewAdminServiceClient(conn)
	m.set(1, "fanoutd_ready")
	m.set(0, "fanoutd_draining")
	m.set(0, "fanoutd_webhook_requests", "group", hookedGroup)
	m.set(1, "fanoutd_group_consumers", "group", hookedGroup)
	m.set(1, "fanoutd_token_keys_ready")

	m.set(0, "fanoutd_panics_total", "of", "browsers")
	m.set(0, "fanoutd_control_connections_closed_total", "reason", "no-call")

	m.consume(conn, &fanoutv1.ConsumeRequest_Open{Group: "all", Namespaces: heardNamespaces, Lifecycle: true}, poisoned)
	gate := m.consume(conn, &fanoutv1.ConsumeRequest_Open{Group: "gate", Namespaces: []string{"/gate"}, Events: []string{"none"}, Authorize: true}, decide)

	crowd := m.converse()
	m.askForAcks(crowd)
	repeat := m.repeated()
	m.compareNow()
	var ends sync.WaitGroup
	for _, end := range []func(){
		m.closed, m.refusedHandshakes, m.refusedCalls, m.refusedConnections, m.blocked, m.disconnected, m.slow, m.volatile, m.conflated, m.failedUpgrade,
		func() { m.undecided(gate) }, m.deadLetters, repeat, m.dropped, m.hooked, m.published,
	} {
		ends.Go(end)
	}
	ends.Wait()
	for i, c := range crowd {
		if i%2 == 0 {
			c.leave("/chat")
		}
		c.close()
	}
	m.compare("at the end", func(string) bool { return true })
	m.whole()
}

// compare waits until the metrics are what clients counted.
func (m *metricsTest) compare(when string, also func(series string) bool) {
	m.Helper()
	var left []string
	ctx, cancel := context.WithTimeout(m.ctx, 20*time.Second)
	defer cancel()
	compared := func(series string) bool {
		name := metricName(series)
		if strings.Contains(series, "_seconds_") && !strings.Contains(series, "_seconds_count") {
			return false // how long something took
		}
		return strings.HasPrefix(name, "fanoutd_") && unseen[name] == "" && also(series)
	}
	for {
		m.list()
		m.derive()
		time.Sleep(100 * time.Millisecond) // what clients have seen the end of may not be counted yet
		if left = differences(metrics(m.T, m.daemon), m.all(), compared); len(left) == 0 {
			return
		}
		if ctx.Err() != nil {
			m.Errorf("%s:\n%s", when, strings.Join(left, "\n"))
			return
		}
	}
}

// derive counts what is the sum of others.
func (m *metricsTest) derive() {
	var dropped, dead float64
	all := m.all()
	for series, n := range all {
		switch name, _, _ := strings.Cut(series, "{"); name {
		case "fanoutd_group_dropped_total":
			dropped += n
		case "fanoutd_group_dead_letters_total":
			dead += n
		}
	}
	m.set(dropped, "fanoutd_deliveries_dropped_total")
	m.set(dead, "fanoutd_dead_letters_total")
	m.set(all[series("fanoutd_sessions_closed_total", "reason", "slow consumer")], "fanoutd_sessions_slow_total")
	m.set(all["fanoutd_emits_total"], "fanoutd_fanout_duration_seconds_count")
}

// whole checks that every metric there is was compared, or is listed with a reason.
func (m *metricsTest) whole() {
	counted := map[string]bool{}
	for series := range m.all() {
		counted[metricName(series)] = true
	}
	known := map[string]bool{}
	for _, family := range ops.Families() {
		for _, x := range family.Metrics {
			known[x.Name] = true
			if counted[x.Name] == (unseen[x.Name] != "") {
				m.Errorf("%s: a client counts it (%v), or unseen has a reason why not (%q)", x.Name, counted[x.Name], unseen[x.Name])
			}
		}
	}
	tests := allTests(m.T)
	for name, why := range unseen {
		if _, test, _ := strings.Cut(why, ": "); !known[name] || !tests[test] {
			m.Errorf("unseen has %s: %s; the metric is there: %v, the test: %v", name, why, known[name], tests[test])
		}
	}
}

// allTests are the names of the tests that there are.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, dir := range []string{"../cmd", "../internal", "."} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, name := range declared.FindAllSubmatch(text, -1) {
				names[string(name[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// until waits until it is so.
func (m *metricsTest) until(what string, is func() bool) {
	m.Helper()
	for !is() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-m.ctx.Done():
			m.Fatalf("waited in vain until %s", what)
		}
	}
}
