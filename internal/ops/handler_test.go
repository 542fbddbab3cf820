package ops

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/forward"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/loadmeter"
	"github.com/fanoutd/fanoutd/internal/metrics"
	"github.com/fanoutd/fanoutd/internal/sio"
)

func testHandler(ready *Readiness) http.Handler {
	return Handler(ready, Metrics(NewRegistry(Build{Version: "1.2.3", Commit: "abc", GoVersion: "go1"}, Sources{
		Calls: func() []Calls {
			return []Calls{
				{Method: "a.B/C", Codes: map[string]uint64{"OK": 60}, InFlight: 61, Durations: metrics.Distribution{Count: 62, Sum: time.Second}},
				{Method: "a.B/Stream", Codes: map[string]uint64{"Canceled": 63}, Streaming: true},
			}
		},
		State:   func() State { return State{Ready: ready.Why() == "", Draining: true} },
		Load:    func() loadmeter.Load { return loadmeter.Load{CPU: 0.75, Sessions: 0.5} },
		Process: func() Process { return Process{LogLinesLost: 41, Panics: map[string]uint64{"browsers": 42}} },
		Sockets: func() sio.Stats {
			return sio.Stats{
				Engine: sio.SessionStats{
					Sessions: map[string]int{"polling": 2, "websocket": 3}, Dropped: 8, Conflated: 94, Slow: 9,
					Opened: map[string]uint64{"polling": 40}, Closed: map[string]uint64{"ping timeout": 41},
					Upgrades: map[string]uint64{"websocket": 42}, FailedUpgrades: 43, Queued: 44, LargestQueue: 45,
					Received: []sio.Traffic{{Transport: "polling", Type: "message", Packets: 46, Bytes: 47}},
					Sent:     []sio.Traffic{{Transport: "websocket", Type: "ping", Packets: 48, Bytes: 49}},
				},
				Connections: 4, Received: 5, Emitted: 6, Sent: 7,
				Offline: 80, Retained: 81, Namespaces: 50, Rooms: 51, Joined: 52, Ended: map[string]uint64{"transport close": 53}, Recoveries: map[string]uint64{"expired": 38},
				AcksReceived: 54, AcksSent: 55, AwaitedAcks: 56, Watches: 94, WatchResyncs: 95,
				FanOut:  metrics.Distribution{Count: 3, Sum: time.Second, Within: map[time.Duration]uint64{time.Millisecond: 2}},
				Refused: map[string]uint64{"max-sessions": 39},
				Blocked: 93, Delayed: 40, Delays: 1500 * time.Millisecond,
			}
		},
		Blocks:   func() blocks.Counts { return blocks.Counts{Users: 90, Addresses: 91, Lifted: 92} },
		Refusals: func() map[string]uint64 { return map[string]uint64{"KEY_INVALID": 55} },
		Connections: func() Connections {
			return Connections{Open: 75, Strangers: 76, Closed: map[string]uint64{"no-call": 77}}
		},
		Bus: func() bus.Stats { return bus.Stats{Connected: true, Dropped: 25, Reconnects: 26, Routes: 27} },
		Nodes: func() cluster.Stats {
			return cluster.Stats{Alive: 28, Suspected: 29, Sent: 30, Received: 31, Repaired: 32, Refused: 33, Lost: 34, BadPackets: 35, Unanswered: 38}
		},
		Forward: func() forward.Stats { return forward.Stats{Forwarded: 36, Failed: 37} },
		Consumers: func() dispatch.Stats {
			return dispatch.Stats{
				Events: 10, Unheard: 11, Dropped: 12, Redelivered: 13, StalledConsumers: 14, StalledSessions: 15, VerdictTimeouts: 16,
				Groups: map[string]dispatch.GroupCounts{
					"a": {Consumers: 39, Waiting: 17, Bytes: 18, InFlight: 19, OldestAge: 2500 * time.Millisecond, Delivered: 20, Redelivered: 21, Dropped: 22, DeadLetters: 23},
					"b": {Waiting: 24},
				},
			}
		},
	})), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the console") }))
}

func TestPages(t *testing.T) {
	ready := &Readiness{}
	ready.Ready()
	h := testHandler(ready)
	tests := []struct {
		method, path string
		status       int
		body         string // is in the answer
	}{
		{http.MethodGet, "/", 200, "/metrics"},
		{http.MethodGet, "/livez", 200, "ok\n"},
		{http.MethodHead, "/livez", 200, ""},
		{http.MethodPost, "/livez", 405, ""},
		{http.MethodGet, "/readyz", 200, "ok\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_sessions{transport=\"polling\"} 2\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_sessions{transport=\"websocket\"} 3\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_connections 4\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_events_received_total 5\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_emits_total 6\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_events_sent_total 7\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_volatile_dropped_total 8\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_conflated_total 94\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_sessions_slow_total 9\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_panics_total{of=\"browsers\"} 42\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_log_lines_lost_total 41\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_load_ratio 0.75\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_load_resource_ratio{resource=\"cpu\"} 0.75\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_load_resource_ratio{resource=\"sessions\"} 0.5\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_events_delayed_total 40\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_events_delay_seconds_total 1.5\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_refused_total{reason=\"max-sessions\"} 39\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_blocks{kind=\"users\"} 90\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_connects_blocked_total 93\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_deliveries_events_total 10\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_deliveries_unheard_total 11\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_deliveries_dropped_total 12\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_deliveries_repeated_total 13\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_consumers_stalled_total 14\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_sessions_stalled_total 15\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_verdict_timeouts_total 16\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_pending_events{group=\"a\"} 17\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_pending_bytes{group=\"a\"} 18\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_in_flight_events{group=\"a\"} 19\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_oldest_pending_seconds{group=\"a\"} 2.5\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_delivered_total{group=\"a\"} 20\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_repeated_total{group=\"a\"} 21\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_dropped_total{group=\"a\"} 22\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_dead_letters_total{group=\"a\"} 23\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_pending_events{group=\"b\"} 24\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_group_consumers{group=\"a\"} 39\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_sessions_opened_total{transport=\"polling\"} 40\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_sessions_closed_total{reason=\"ping timeout\"} 41\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_upgrades_total{transport=\"websocket\"} 42\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_upgrades_failed_total 43\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_queue_bytes 44\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_queue_largest_bytes 45\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_packets_received_total{transport=\"polling\",type=\"message\"} 46\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_packet_bytes_received_total{transport=\"polling\",type=\"message\"} 47\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_packets_sent_total{transport=\"websocket\",type=\"ping\"} 48\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_packet_bytes_sent_total{transport=\"websocket\",type=\"ping\"} 49\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_namespaces 50\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_rooms 51\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_connections_opened_total 52\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_connections_closed_total{reason=\"transport close\"} 53\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_recoveries_total{result=\"expired\"} 38\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_acks_received_total 54\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_acks_sent_total 55\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_acks_awaited 56\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_watches 94\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_watch_resyncs_total 95\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_fanout_duration_seconds_bucket{le=\"0.001\"} 2\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_fanout_duration_seconds_sum 1\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_fanout_duration_seconds_count 3\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_control_auth_failures_total{reason=\"KEY_INVALID\"} 55\n"},
		{http.MethodGet, "/metrics", 200, "\nfanoutd_control_connections 75\n"},
		{http.MethodGet, "/metrics", 200, "\nfanoutd_control_connections_strangers 76\n"},
		{http.MethodGet, "/metrics", 200, "\nfanoutd_control_connections_closed_total{reason=\"no-call\"} 77\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_bus_connected 1\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_bus_dropped_total 25\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_bus_reconnects_total 26\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_bus_routes 27\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_nodes_alive 28\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_nodes_suspected 29\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_node_messages_sent_total 30\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_node_messages_received_total 31\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_node_packets_repaired_total 32\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_node_messages_refused_total 33\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_node_messages_lost_total 34\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_node_packets_bad_total 35\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_node_requests_unanswered_total 38\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_requests_forwarded_total 36\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_requests_forward_failed_total 37\n"},
		{http.MethodGet, "/metrics", 200, `fanoutd_control_calls_total{code="OK",method="a.B/C"} 60`},
		{http.MethodGet, "/metrics", 200, `fanoutd_control_calls_total{code="Canceled",method="a.B/Stream"} 63`},
		{http.MethodGet, "/metrics", 200, `fanoutd_control_calls_in_flight{method="a.B/C"} 61`},
		{http.MethodGet, "/metrics", 200, `fanoutd_control_call_duration_seconds_count{method="a.B/C"} 62`},
		{http.MethodGet, "/metrics", 200, "fanoutd_ready 1\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_draining 1\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_offline_sessions 80\n"},
		{http.MethodGet, "/metrics", 200, "fanoutd_recovery_bytes 81\n"},
		{http.MethodGet, "/metrics", 200, `fanoutd_build_info{commit="abc",goversion="go1",version="1.2.3"} 1`},
		{http.MethodGet, "/metrics", 200, "\ngo_goroutines "},
		{http.MethodGet, "/metrics", 200, "\nprocess_start_time_seconds "},
		{http.MethodGet, "/debug/pprof/", 200, "goroutine"},
		{http.MethodGet, "/debug/pprof/goroutine?debug=1", 200, "TestPages"},
		{http.MethodPost, "/debug/pprof/symbol", 200, "num_symbols"},
		{http.MethodGet, "/debug/pprof/cmdline", 403, "secrets"},
		{http.MethodPost, "/debug/pprof/cmdline", 405, ""},
		{http.MethodGet, "/console", 308, ""},
		{http.MethodGet, "/console/", 200, "the console"},
		{http.MethodPost, "/console/session", 200, "the console"},
		{http.MethodGet, "/nothing", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("no %q in %s", tt.body, w.Body)
			}
		})
	}
}

func TestReadiness(t *testing.T) {
	ready := &Readiness{}
	h := testHandler(ready)
	check := func(status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		if w.Code != status || w.Body.String() != body {
			t.Errorf("got %d %q, want %d %q", w.Code, w.Body, status, body)
		}
	}
	check(503, "not ready: starting\n")
	ready.Ready()
	check(200, "ok\n")
	missing := "no keys"
	ready.Missing = func() string { return missing }
	check(503, "not ready: no keys\n")
	missing = ""
	check(200, "ok\n")
	missing = "no keys"
	ready.NotReady("shutting down")
	check(503, "not ready: shutting down\n")
	ready.Ready() // a start that was overtaken by the end
	check(503, "not ready: shutting down\n")

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/livez", nil))
	if w.Code != 200 {
		t.Errorf("not ready made it not live: %d", w.Code)
	}
}
