package ops

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/admission/hook"
	"github.com/fanoutd/fanoutd/internal/admission/token"
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/forward"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// Build says which build this is.
type Build struct {
	Version, Commit, GoVersion string
}

// Sources are what metrics are read from. Each is called once a scrape, from
// several goroutines at once; nil: there is none.
type Sources struct {
	Sockets   func() sio.Stats
	Consumers func() dispatch.Stats
	Admission func() admission.Stats
	Tokens    func() token.Stats
	Hook      func() hook.Stats
	Bus       func() bus.Stats
	Nodes     func() cluster.Stats
	Forward   func() forward.Stats
}

// NewRegistry returns a registry of the Go runtime's and the process's metrics,
// the build, and what the sources count. More collectors may be registered.
func NewRegistry(b Build, from Sources) *prometheus.Registry {
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
	)
	if from.Sockets != nil {
		r.MustRegister(collector[sio.Stats]{from.Sockets, slices.Concat(socketMetrics, limitMetrics)})
	}
	if from.Consumers != nil {
		r.MustRegister(collector[dispatch.Stats]{from.Consumers, consumerMetrics})
	}
	if from.Admission != nil {
		r.MustRegister(collector[admission.Stats]{from.Admission, admissionMetrics})
	}
	if from.Tokens != nil {
		r.MustRegister(collector[token.Stats]{from.Tokens, tokenMetrics})
	}
	if from.Hook != nil {
		r.MustRegister(collector[hook.Stats]{from.Hook, hookMetrics})
	}
	if from.Bus != nil {
		r.MustRegister(collector[bus.Stats]{from.Bus, busMetrics})
	}
	if from.Nodes != nil {
		r.MustRegister(collector[cluster.Stats]{from.Nodes, nodeMetrics})
	}
	if from.Forward != nil {
		r.MustRegister(collector[forward.Stats]{from.Forward, forwardMetrics})
	}
	return r
}

// collector turns one reading of a package's counts into metrics, so that those
// of one scrape belong together.
type collector[S any] struct {
	read    func() S
	metrics []metric[S]
}

var _ prometheus.Collector = collector[sio.Stats]{}

// metric is one metric of a package's counts.
type metric[S any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(S) float64
	// by is instead of of, for a metric with one label: the values by the label's.
	by func(S) map[string]float64
}

func counter[S any](name, help string, of func(S) uint64) metric[S] {
	return metric[S]{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, func(s S) float64 { return float64(of(s)) }, nil}
}

// outcomes is a counter with the label outcome.
func outcomes[S any](name, help string, by func(S) map[string]uint64) metric[S] {
	return metric[S]{prometheus.NewDesc(name, help, []string{"outcome"}, nil), prometheus.CounterValue, nil, func(s S) map[string]float64 {
		values := map[string]float64{}
		for outcome, n := range by(s) {
			values[outcome] = float64(n)
		}
		return values
	}}
}

func gauge[S any](name, help string, of func(S) int) metric[S] {
	return metric[S]{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, func(s S) float64 { return float64(of(s)) }, nil}
}

// Describe implements prometheus.Collector.
func (c collector[S]) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		descs <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector[S]) Collect(metrics chan<- prometheus.Metric) {
	s := c.read()
	for _, m := range c.metrics {
		if m.by == nil {
			metrics <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s))
			continue
		}
		for label, value := range m.by(s) {
			metrics <- prometheus.MustNewConstMetric(m.desc, m.kind, value, label)
		}
	}
}
