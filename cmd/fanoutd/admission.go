package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/admission/hook"
	"github.com/fanoutd/fanoutd/internal/admission/token"
	"github.com/fanoutd/fanoutd/internal/ops"
)

// admissionSources are who is asked who may connect, before consumers are.
type admissionSources struct {
	tokens    *token.Verifier  // nil: none are asked for
	locations []token.Location // where they are looked for
	hook      *hook.Client     // nil: not asked
	log       *slog.Logger
}

func newAdmissionSources(c *config, log *slog.Logger) (*admissionSources, error) {
	a := &admissionSources{locations: c.tokens.sources, log: log}
	var err error
	if c.tokens.on() {
		if a.tokens, err = token.New(c.tokens.options(log)); err != nil {
			return nil, err
		}
	}
	if c.hook.on() {
		if a.hook, err = hook.New(c.hook.options(log)); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// then returns those that are configured, in their order, with another source at
// the end. Who is blocked by then gets no further.
func (a *admissionSources) then(last admission.Source, blocked func(user string) bool) admission.Sources {
	var all admission.Sources
	if a.tokens != nil {
		all = append(all, a.tokens, admission.NotBlocked{User: blocked})
	}
	if a.hook != nil {
		all = append(all, a.hook, admission.NotBlocked{User: blocked})
	}
	return append(all, last)
}

// replaceTokens has tokens verified as next says from now on.
func (a *admissionSources) replaceTokens(next *config) error {
	switch {
	case (a.tokens != nil) != next.tokens.on():
		return errRestart
	case a.tokens == nil:
		return nil
	}
	o := next.tokens.options(a.log)
	o.Locations = a.locations // sockets hide them as they were at the start
	err := a.tokens.Replace(o)
	if errors.Is(err, token.ErrOtherKeySet) {
		return errRestart
	}
	return err
}

// replaceHookKey has the hook asked with the key that next says from now on.
func (a *admissionSources) replaceHookKey(next *config) error {
	switch {
	case (a.hook != nil) != next.hook.on():
		return errRestart
	case a.hook != nil:
		a.hook.SetKey(next.hook.key)
	}
	return nil
}

// metrics adds what those count that are configured.
func (a *admissionSources) metrics(from ops.Sources) ops.Sources {
	if a.tokens != nil {
		from.Tokens = a.tokens.Stats
	}
	if a.hook != nil {
		from.Hook = a.hook.Stats
	}
	return from
}

// missing returns what nobody can be let in without and is not there yet, empty
// if nothing is missing. What was there once does not count as missing.
func (a *admissionSources) missing() string {
	if a.tokens != nil && !a.tokens.Stats().KeysReady {
		return "the key set of jwks-url has not been fetched yet"
	}
	return ""
}

// run keeps the keys fresh until ctx ends.
func (a *admissionSources) run(ctx context.Context) {
	if a.tokens != nil {
		a.tokens.Run(ctx)
	}
}

// close ends what is in flight. It is called once.
func (a *admissionSources) close() {
	if a.hook == nil {
		return
	}
	if err := a.hook.Close(); err != nil {
		a.log.Warn("closing the connection to the hook", "error", err)
	}
}
