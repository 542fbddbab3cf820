package main

import (
	"time"

	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// consumerConfig is what was said about the backends that hear browsers.
type consumerConfig struct {
	requireVerdict  bool
	absence         byNamespace[dispatch.Policy] // while there is none
	verdictTimeout  time.Duration
	holdTimeout     time.Duration
	maxAttempts     int
	deadLetterBytes int
}

// Bounds of dead-letter-bytes: below, little is ever found again.
const (
	minDeadLetterBytes = 1 << 20
	maxDeadLetterBytes = 64 << 30
)

var absencePolicies = map[string]dispatch.Policy{
	"buffer": dispatch.Buffer, "drop": dispatch.Drop, "refuse": dispatch.Refuse,
}

// declare adds the settings, each with its default in c.
func (c *consumerConfig) declare(s *settings.Set) {
	s.Declare("Consumers",
		settings.Setting{
			Name:  "no-consumer",
			Help:  "what becomes of browsers' events while no consumer of a group is there: buffer, drop or refuse (new connections); for one namespace, or all of a pattern, as in /chat=refuse",
			Value: policies(&c.absence, absencePolicies, "buffer", "buffer, drop or refuse"),
		},
		settings.Setting{
			Name: "require-verdict", Help: "refuse every connection that no consumer decided on; namespaces that only the * of namespaces has need that, or the hook, in any case",
			Value: settings.Bool(&c.requireVerdict, false),
		},
		settings.Setting{
			Name: "verdict-timeout", Help: "how long a connection waits for the verdict of the consumers that authorise; then it is not let in, and its client tries again",
			Value: settings.Duration(&c.verdictTimeout, 5*time.Second),
		},
		settings.Setting{
			Name: "hold-timeout", Help: "how long a browser is not read because its events are not consumed; then its session is closed as \"backend stalled\"",
			Value: settings.Duration(&c.holdTimeout, 45*time.Second),
		},
		settings.Setting{
			Name: "max-attempts", Help: "how often an event may be given back, not be settled in time or end its consumer; then it becomes a dead letter",
			Value: settings.Number(&c.maxAttempts, 10, 1, 1000),
		},
		settings.Setting{
			Name: "dead-letter-bytes", Help: "bytes of events that consumers could not handle and that are kept as dead letters; beyond it the oldest go",
			Value: settings.Bytes(&c.deadLetterBytes, 64<<20, minDeadLetterBytes, maxDeadLetterBytes),
		},
	)
}

// check refuses what makes no sense together.
func (c *consumerConfig) check(s *settings.Set, namespaces []string) error {
	return c.absence.check(s.Get("no-consumer"), namespaces)
}

// options sets what the settings say.
func (c *consumerConfig) options(o *dispatch.Options) {
	o.RequireVerdict = c.requireVerdict
	o.VerdictTimeout, o.HoldTimeout = c.verdictTimeout, c.holdTimeout
	o.MaxAttempts, o.DeadLetterBytes = c.maxAttempts, c.deadLetterBytes
	o.Policy, o.Policies = c.absence.policy, c.absence.policies
}
