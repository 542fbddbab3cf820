package ops

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanoutd/fanoutd/internal/webhook"
)

// byWebhookGroup is a metric of each group that has webhooks, or had some.
func byWebhookGroup(name string, kind Type, help string, of func(webhook.GroupStats) float64) metric[webhook.Stats] {
	return labeled(kind, name, help, []string{"group"}, func(s webhook.Stats) []sample {
		var all []sample
		for group, counts := range s.Groups {
			all = append(all, sample{of(counts), []string{group}})
		}
		return all
	})
}

var webhookMetrics = []metric[webhook.Stats]{
	labeled(Counter, "fanoutd_webhook_requests_total",
		"Requests to webhooks that have ended, by outcome: handled; unavailable: the endpoint is, and the event comes again; failed: the event has, and comes again or is a dead letter; rejected, a dead letter at once; cancelled: the event was taken back meanwhile.",
		[]string{"group", "outcome"}, func(s webhook.Stats) []sample {
			var all []sample
			for group, counts := range s.Groups {
				for outcome, n := range counts.Outcomes {
					all = append(all, sample{float64(n), []string{group, outcome}})
				}
			}
			return all
		}),
	byWebhookGroup("fanoutd_webhook_requests", Gauge, "Requests to webhooks under way now.",
		func(g webhook.GroupStats) float64 { return float64(g.InFlight) }),
	newMetric(Description{
		Name: "fanoutd_webhook_request_duration_seconds", Type: Histogram, Labels: []string{"group"},
		Help: "How long requests to webhooks took, until the answer was read or there was none.",
	}, func(s webhook.Stats, d *prometheus.Desc, to chan<- prometheus.Metric) {
		for group, counts := range s.Groups {
			to <- distribution(d, counts.Duration, group)
		}
	}),
	byWebhookGroup("fanoutd_webhook_operations_total", Counter, "Operations that answers of webhooks asked for.",
		func(g webhook.GroupStats) float64 { return float64(g.Operations) }),
	byWebhookGroup("fanoutd_webhook_operations_failed_total", Counter, "Operations that answers of webhooks asked for, and that failed.",
		func(g webhook.GroupStats) float64 { return float64(g.OperationsFailed) }),
}
