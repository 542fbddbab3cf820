package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanoutd/fanoutd/internal/admission/hook"
	"github.com/fanoutd/fanoutd/internal/admission/token"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// authorizer decides which browsers may connect: first by their token, then by
// the hook, each if it is configured. With neither, everybody may.
type authorizer struct {
	tokens *token.Tokens // nil: not asked for
	hook   *hook.Client  // nil: not asked
	// keyWait bounds the wait for a JWK Set. With the hook's time, half of the
	// ping timeout at most, it stays below that: no pong is read meanwhile.
	keyWait time.Duration
	log     *slog.Logger
	seen    *prometheus.CounterVec // tokens, by what became of them
}

func newAuthorizer(c *config, log *slog.Logger) (*authorizer, error) {
	a := &authorizer{
		keyWait: c.browsers.pingTimeout / 4,
		log:     log,
		seen: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fanoutd_tokens_total", Help: "Tokens of connecting browsers, by what became of them.",
		}, []string{"outcome"}),
	}
	var err error
	if c.tokens.on() {
		if a.tokens, err = token.NewTokens(c.tokens.options(log)); err != nil {
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

// run keeps the keys fresh until ctx ends.
func (a *authorizer) run(ctx context.Context) {
	if a.tokens != nil {
		a.tokens.Run(ctx)
	}
}

// close ends what is under way. It is called once.
func (a *authorizer) close() {
	if a.hook == nil {
		return
	}
	if err := a.hook.Close(); err != nil {
		a.log.Warn("closing the connection to the hook", "error", err)
	}
}

// admit decides on a socket. ctx ends with its session.
func (a *authorizer) admit(ctx context.Context, s *sio.Socket, given []byte) (sio.Admission, error) {
	query := map[string]string{token.TokenField: s.Secret(token.TokenField)}
	return a.decide(ctx, s.Connection(), query, s.Authorization(), given)
}

// decide decides on a connection by what it was given as auth, in the secret
// part of its query and in the Authorization header. All that is asked have to
// agree; the client is told no more than a [sio.Refusal] says.
func (a *authorizer) decide(ctx context.Context, c sio.Connection, query map[string]string, authorization string, given []byte) (sio.Admission, error) {
	var admission sio.Admission
	if a.tokens != nil {
		id, err := a.verify(ctx, a.tokens.Find(given, query, authorization))
		if err != nil {
			a.log.Debug("refusing a connection", "namespace", c.Namespace, "remote", c.RemoteAddr, "error", err)
			return sio.Admission{}, &sio.Refusal{Message: string(err.Code)}
		}
		admission = sio.Admission(id)
	}
	if a.hook != nil {
		granted, err := a.hook.Authorize(ctx, hook.Request{Connection: c, User: admission.User, Auth: given})
		if refusal := (*sio.Refusal)(nil); errors.As(err, &refusal) {
			return sio.Admission{}, refusal
		}
		if err != nil { // which the hook's client has logged
			return sio.Admission{}, &sio.Refusal{Message: string(token.Unavailable)}
		}
		admission = extend(admission, granted)
	}
	return admission, nil
}

// verify verifies a token and counts it. Its error is nil or whole.
func (a *authorizer) verify(ctx context.Context, given string) (token.Identity, *token.Error) {
	ctx, cancel := context.WithTimeout(ctx, a.keyWait)
	defer cancel()
	id, err := a.tokens.Verify(ctx, given)
	if err == nil {
		a.seen.WithLabelValues("accepted").Inc()
		return id, nil
	}
	refused := &token.Error{Code: token.Invalid, Reason: err}
	errors.As(err, &refused)
	a.seen.WithLabelValues(string(refused.Code)).Inc()
	return token.Identity{}, refused
}

// extend adds to what a token grants what the hook does. The hook may name
// another user, but no token is good for longer than it says.
func extend(a, more sio.Admission) sio.Admission {
	if more.User != "" {
		a.User = more.User
	}
	a.Rooms = append(a.Rooms, more.Rooms...)
	if a.Data == nil {
		a.Data = more.Data
	} else {
		maps.Copy(a.Data, more.Data) // the token's, which nobody else has
	}
	if a.Expire.IsZero() || !more.Expire.IsZero() && more.Expire.Before(a.Expire) {
		a.Expire = more.Expire
	}
	return a
}

// register adds the metrics of what is configured.
func (a *authorizer) register(r prometheus.Registerer) {
	if a.tokens != nil {
		r.MustRegister(a.seen)
	}
	if a.hook != nil {
		r.MustRegister(hookMetrics(a.hook.Stats))
	}
}

// hookMetrics turns one reading of the hook's counts into metrics.
type hookMetrics func() hook.Stats

var _ prometheus.Collector = hookMetrics(nil)

var (
	hookDecisions = prometheus.NewDesc("fanoutd_hook_decisions_total",
		"Connections that the hook was to decide on, by outcome: allowed and refused are its own.", []string{"outcome"}, nil)
	hookCalls = prometheus.NewDesc("fanoutd_hook_calls",
		"Calls of the hook under way.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m hookMetrics) Describe(descs chan<- *prometheus.Desc) {
	descs <- hookDecisions
	descs <- hookCalls
}

// Collect implements prometheus.Collector.
func (m hookMetrics) Collect(metrics chan<- prometheus.Metric) {
	s := m()
	for outcome, n := range map[string]uint64{
		"allowed": s.Allowed, "refused": s.Refused, "failed": s.Failed, "busy": s.Busy, "left": s.Left,
	} {
		metrics <- prometheus.MustNewConstMetric(hookDecisions, prometheus.CounterValue, float64(n), outcome)
	}
	metrics <- prometheus.MustNewConstMetric(hookCalls, prometheus.GaugeValue, float64(s.InFlight))
}
