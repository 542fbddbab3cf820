package ops

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Stats is what the daemon counts about browsers.
type Stats struct {
	Sessions    map[string]int // by transport
	Connections int            // in all namespaces
	Received    uint64         // events from browsers
	Emitted     uint64         // emits applied
	Sent        uint64         // events queued for browsers
	Dropped     uint64         // volatile events dropped for slow browsers
	Slow        uint64         // sessions closed for being too slow
}

// Build says which build this is.
type Build struct {
	Version, Commit, GoVersion string
}

// NewRegistry returns a registry of the Go runtime's and the process's metrics,
// the build, and what stats returns: it is called once a scrape, from several
// goroutines at once. More collectors may be registered.
func NewRegistry(b Build, stats func() Stats) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "fanoutd_build_info",
		Help:        "Always 1; the labels tell which build runs.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "goversion": b.GoVersion},
	})
	build.Set(1)
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build,
		collector(stats),
	)
	return r
}

// collector turns one reading of the counts into metrics, so that those of one
// scrape belong together.
type collector func() Stats

var _ prometheus.Collector = collector(nil)

var (
	sessions = prometheus.NewDesc("fanoutd_sessions",
		"Engine.IO sessions open now, by transport.", []string{"transport"}, nil)
	connections = prometheus.NewDesc("fanoutd_connections",
		"Socket.IO connections now, in all namespaces.", nil, nil)
	received = prometheus.NewDesc("fanoutd_events_received_total",
		"Events that browsers sent.", nil, nil)
	emitted = prometheus.NewDesc("fanoutd_emits_total",
		"Emits that were applied.", nil, nil)
	sent = prometheus.NewDesc("fanoutd_events_sent_total",
		"Events queued for browsers: one for each connection an emit reached.", nil, nil)
	dropped = prometheus.NewDesc("fanoutd_volatile_dropped_total",
		"Volatile events dropped because a browser could not take them: one for each connection.", nil, nil)
	slow = prometheus.NewDesc("fanoutd_sessions_slow_total",
		"Sessions closed because more waited for their browser than max-queue.", nil, nil)
)

func (c collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sessions, connections, received, emitted, sent, dropped, slow} {
		descs <- d
	}
}

func (c collector) Collect(metrics chan<- prometheus.Metric) {
	s := c()
	for transport, n := range s.Sessions {
		metrics <- prometheus.MustNewConstMetric(sessions, prometheus.GaugeValue, float64(n), transport)
	}
	metrics <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(s.Connections))
	metrics <- prometheus.MustNewConstMetric(received, prometheus.CounterValue, float64(s.Received))
	metrics <- prometheus.MustNewConstMetric(emitted, prometheus.CounterValue, float64(s.Emitted))
	metrics <- prometheus.MustNewConstMetric(sent, prometheus.CounterValue, float64(s.Sent))
	metrics <- prometheus.MustNewConstMetric(dropped, prometheus.CounterValue, float64(s.Dropped))
	metrics <- prometheus.MustNewConstMetric(slow, prometheus.CounterValue, float64(s.Slow))
}
