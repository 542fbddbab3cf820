package ops

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/admission/hook"
	"github.com/fanoutd/fanoutd/internal/admission/token"
	"github.com/fanoutd/fanoutd/internal/blocks"
	"github.com/fanoutd/fanoutd/internal/certfile"
	"github.com/fanoutd/fanoutd/internal/cluster"
	"github.com/fanoutd/fanoutd/internal/cluster/bus"
	"github.com/fanoutd/fanoutd/internal/cluster/forward"
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/loadmeter"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/webhook"
)

// Build says which build this is.
type Build struct {
	Version, Commit, GoVersion string
}

// Sources are what metrics are read from. Each is called once a scrape, from
// several goroutines at once; nil: there is none.
type Sources struct {
	Process   func() Process
	Load      func() loadmeter.Load
	Sockets   func() sio.Stats
	Consumers func() dispatch.Stats
	Admission func() admission.Stats
	Tokens    func() token.Stats
	Hook      func() hook.Stats
	Webhooks  func() webhook.Stats
	Blocks    func() blocks.Counts
	Refusals  func() map[string]uint64 // calls of backends that were refused for who called, by reason
	Bus       func() bus.Stats

	// Connections are those to the control API.
	Connections func() Connections

	Nodes   func() cluster.Stats
	Forward func() forward.Stats
	Calls   func() []Calls
	State   func() State

	Certificates func() []certfile.Expiry
}

// NewRegistry returns a registry of the Go runtime's and the process's metrics,
// the build, and what the sources count. More collectors may be registered.
func NewRegistry(b Build, from Sources) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        buildInfo.Name,
		Help:        buildInfo.Help,
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "goversion": b.GoVersion},
	})
	build.Set(1)
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build,
	)
	if from.Process != nil {
		r.MustRegister(collector[Process]{from.Process, processMetrics})
	}
	if from.Load != nil {
		r.MustRegister(collector[loadmeter.Load]{from.Load, loadMetrics})
	}
	if from.Sockets != nil {
		r.MustRegister(collector[sio.Stats]{from.Sockets, slices.Concat(socketMetrics, recoveryMetrics, sessionMetrics, limitMetrics)})
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
	if from.Webhooks != nil {
		r.MustRegister(collector[webhook.Stats]{from.Webhooks, webhookMetrics})
	}
	if from.Blocks != nil {
		r.MustRegister(collector[blocks.Counts]{from.Blocks, blockMetrics})
	}
	if from.Refusals != nil {
		r.MustRegister(collector[map[string]uint64]{from.Refusals, refusalMetrics})
	}
	if from.Connections != nil {
		r.MustRegister(collector[Connections]{from.Connections, connectionMetrics})
	}
	if from.Bus != nil {
		r.MustRegister(collector[bus.Stats]{from.Bus, busMetrics})
	}
	if from.Nodes != nil {
		r.MustRegister(collector[cluster.Stats]{from.Nodes, nodeMetrics})
	}
	if from.Calls != nil {
		r.MustRegister(collector[[]Calls]{from.Calls, callMetrics})
	}
	if from.State != nil {
		r.MustRegister(collector[State]{from.State, stateMetrics})
	}
	if from.Forward != nil {
		r.MustRegister(collector[forward.Stats]{from.Forward, forwardMetrics})
	}
	if from.Certificates != nil {
		r.MustRegister(collector[[]certfile.Expiry]{from.Certificates, certificateMetrics})
	}
	return r
}
