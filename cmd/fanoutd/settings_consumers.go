package main

import (
	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// consumerConfig is what was said about the backends that hear browsers.
type consumerConfig struct {
	requireVerdict bool
	absence        byNamespace[dispatch.Policy] // while there is none
}

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
			Name: "require-verdict", Help: "refuse every connection that no consumer decided on",
			Value: settings.Bool(&c.requireVerdict, false),
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
	o.Policy, o.Policies = c.absence.policy, c.absence.policies
}
