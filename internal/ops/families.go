package ops

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Type is the type of a metric, as the exposition format names it.
type Type string

// The types of metrics.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

var types = map[Type]prometheus.ValueType{Counter: prometheus.CounterValue, Gauge: prometheus.GaugeValue}

// Description is what is known of a metric without a value of it.
type Description struct {
	Name   string
	Type   Type
	Labels []string
	Help   string // one sentence or more
}

// Family is the metrics of one source.
type Family struct {
	Title   string
	When    string // the metrics are there; empty: always
	Metrics []Description
}

// buildInfo is the metric of the build.
var buildInfo = Description{
	Name: "fanoutd_build_info", Type: Gauge, Labels: []string{"version", "commit", "goversion"},
	Help: "Always 1; the labels tell which build runs.",
}

// Families returns what a registry of [NewRegistry] has, but for the metrics of the Go
// runtime and of the process, in the order of docs/metrics.md.
func Families() []Family {
	return []Family{
		{"The process", "", slices.Concat([]Description{buildInfo}, descriptions(stateMetrics), descriptions(processMetrics), descriptions(loadMetrics), descriptions(certificateMetrics))},
		{"Connections", "", descriptions(socketMetrics)},
		{"Recovery", "", descriptions(recoveryMetrics)},
		{"Sessions", "", descriptions(sessionMetrics)},
		{"Limits", "", descriptions(limitMetrics)},
		{"Blocks", "", descriptions(blockMetrics)},
		{"Consumers", "", descriptions(consumerMetrics)},
		{"Admission", "", descriptions(admissionMetrics)},
		{"Tokens", "with `jwt-secret`, `jwt-public-key-file` or `jwks-url`", descriptions(tokenMetrics)},
		{"The hook", "with `hook`", descriptions(hookMetrics)},
		{"Webhooks", "with `webhook-url` or `webhooks-file`", descriptions(webhookMetrics)},
		{"The control API", "", slices.Concat(descriptions(callMetrics), descriptions(refusalMetrics), descriptions(connectionMetrics))},
		{"The cluster", "with `cluster-listen` or `cluster-nats`", slices.Concat(descriptions(busMetrics), descriptions(nodeMetrics), descriptions(forwardMetrics))},
	}
}

func descriptions[S any](all []metric[S]) []Description {
	d := make([]Description, 0, len(all))
	for _, m := range all {
		d = append(d, m.Description)
	}
	return d
}

// Label is a label of metrics, and what its values are.
type Label struct{ Name, Values string }

// Labels returns the labels of all metrics.
func Labels() []Label {
	return []Label{
		{"code", "a gRPC status code as Go names it: `OK`, `InvalidArgument`, `Unauthenticated`"},
		{"commit", "the commit that the build is of"},
		{"goversion", "the version of Go that built it"},
		{"group", "a group of consumers, as they name it when they open their stream"},
		{"kind", "of blocks: `users`, `addresses`, `lifted`"},
		{"method", "a method of the control API: `fanout.v1.EmitterService/Emit`"},
		{"of", "whose doing it was: `browsers`, `backends`"},
		{"outcome", "what became of it; the metric says which there are"},
		{"reason", "why, as events (`Event.reason`), errors (`ErrorInfo.reason`) or the names of settings have it"},
		{"resource", "`cpu`, `sessions`"},
		{"result", "what came of it: `recovered`, or why not, as `Connection.Recovery` has it: `expired`, `evicted`, `unknown_offset`, `other_user`, `node_gone`, `changed`, `too_much`, `busy`, `unknown`"},
		{"shown_to", "who is shown the certificate: `browsers`, `backends`, `webtransport`, `nodes`"},
		{"transport", "`polling`, `websocket`, `webtransport`"},
		{"type", "of Engine.IO packets: `open`, `close`, `ping`, `pong`, `message`, `upgrade`, `noop`"},
		{"version", "the version of the build"},
	}
}
