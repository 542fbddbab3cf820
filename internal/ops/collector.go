package ops

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanoutd/fanoutd/internal/metrics"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// collector turns one reading of a package's counts into metrics, so that those
// of one scrape belong together.
type collector[S any] struct {
	read    func() S
	metrics []metric[S]
}

var _ prometheus.Collector = collector[sio.Stats]{}

// metric is one metric of a package's counts.
type metric[S any] struct {
	Description
	desc *prometheus.Desc
	read func(S, *prometheus.Desc, chan<- prometheus.Metric)
}

func newMetric[S any](d Description, read func(S, *prometheus.Desc, chan<- prometheus.Metric)) metric[S] {
	return metric[S]{d, prometheus.NewDesc(d.Name, d.Help, d.Labels, nil), read}
}

// sample is one value of a metric with labels.
type sample struct {
	value  float64
	labels []string
}

// constant is a metric without labels.
func constant[S any](kind Type, name, help string, of func(S) float64) metric[S] {
	return newMetric(Description{Name: name, Type: kind, Help: help}, func(s S, d *prometheus.Desc, to chan<- prometheus.Metric) {
		to <- prometheus.MustNewConstMetric(d, types[kind], of(s))
	})
}

func counter[S any](name, help string, of func(S) uint64) metric[S] {
	return constant(Counter, name, help, func(s S) float64 { return float64(of(s)) })
}

func gauge[S any](name, help string, of func(S) int) metric[S] {
	return constant(Gauge, name, help, func(s S) float64 { return float64(of(s)) })
}

// labeled is a metric with labels.
func labeled[S any](kind Type, name, help string, labels []string, of func(S) []sample) metric[S] {
	return newMetric(Description{Name: name, Type: kind, Labels: labels, Help: help}, func(s S, d *prometheus.Desc, to chan<- prometheus.Metric) {
		for _, x := range of(s) {
			to <- prometheus.MustNewConstMetric(d, types[kind], x.value, x.labels...)
		}
	})
}

// countersBy is a counter with one label.
func countersBy[S any](label, name, help string, by func(S) map[string]uint64) metric[S] {
	return labeled(Counter, name, help, []string{label}, func(s S) []sample { return samples(by(s)) })
}

// outcomes is a counter with the label outcome.
func outcomes[S any](name, help string, by func(S) map[string]uint64) metric[S] {
	return countersBy("outcome", name, help, by)
}

// reasons is a counter with the label reason.
func reasons[S any](name, help string, by func(S) map[string]uint64) metric[S] {
	return countersBy("reason", name, help, by)
}

// samples are values by their one label.
func samples[N int | uint64](by map[string]N) []sample {
	all := make([]sample, 0, len(by))
	for label, n := range by {
		all = append(all, sample{float64(n), []string{label}})
	}
	return all
}

// histogram is a distribution of durations, in seconds.
func histogram[S any](name, help string, of func(S) metrics.Distribution) metric[S] {
	return newMetric(Description{Name: name, Type: Histogram, Help: help}, func(s S, d *prometheus.Desc, to chan<- prometheus.Metric) {
		to <- distribution(d, of(s))
	})
}

func distribution(d *prometheus.Desc, all metrics.Distribution, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(all.Within))
	for bound, n := range all.Within {
		buckets[bound.Seconds()] = n
	}
	return prometheus.MustNewConstHistogram(d, all.Count, all.Sum.Seconds(), buckets, labels...)
}

// Describe implements prometheus.Collector.
func (c collector[S]) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		descs <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector[S]) Collect(to chan<- prometheus.Metric) {
	s := c.read()
	for _, m := range c.metrics {
		m.read(s, m.desc, to)
	}
}
