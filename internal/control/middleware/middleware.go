// Package middleware holds what every transport puts around a call of the
// control API: the coding and logging of errors, the recovery of panics, and who
// the caller is. It knows no transport; a transport makes a [Call] of what it
// received, and runs a [Middleware] with the service as its [Handler].
package middleware

import (
	"context"
	"slices"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// Call is what is known of a call before its request is read.
type Call struct {
	// Method is the full name: "/fanout.v1.EmitterService/Emit".
	Method string

	// Authorization is the values of the header or metadata "authorization".
	Authorization []string

	// Caller is who calls, once authenticate has found out: for the steps in
	// front of it, which have another context.
	Caller identity.Principal
}

// Handler carries out a call, or what is left of it. Requests and answers are
// the transport's, which keeps them where its Handler finds them.
type Handler func(ctx context.Context) error

// Middleware is one step around a call: it may end the call with an error, or
// call next with a context of its own.
type Middleware func(ctx context.Context, c *Call, next Handler) error

// Standard is what belongs around every call: errors are coded and logged, a
// panic is an error, and the context holds the caller; calls of methods that are
// not in open need to have one. Tracing belongs in front of it, and what wants to
// know the caller, such as scopes and an audit log, behind it.
func Standard(r *control.ErrorReporter, a *identity.Authenticator, open ...string) Middleware {
	return chain(reportErrors(r), recoverPanics, authenticate(a, open...))
}

// chain is all of steps, the first one outermost.
func chain(steps ...Middleware) Middleware {
	return func(ctx context.Context, c *Call, next Handler) error {
		for _, step := range slices.Backward(steps) {
			inner := next
			next = func(ctx context.Context) error { return step(ctx, c, inner) }
		}
		return next(ctx)
	}
}

// reportErrors turns what a call ends with into a status that its caller may see, and
// has r log the rest.
func reportErrors(r *control.ErrorReporter) Middleware {
	return func(ctx context.Context, c *Call, next Handler) error {
		err := next(ctx)
		return r.Code(identity.NewContext(ctx, c.Caller), c.Method, err)
	}
}

// recoverPanics turns a panic into an error.
func recoverPanics(ctx context.Context, _ *Call, next Handler) error {
	return control.Recover(func() error { return next(ctx) })
}

// authenticate puts the caller into the context, and ends calls of callers
// that a does not know with that error of package identity. It denies by default: only
// the methods in open, by their full names, need no key; what does not exist does.
func authenticate(a *identity.Authenticator, open ...string) Middleware {
	exempt := make(map[string]bool, len(open))
	for _, method := range open {
		exempt[method] = true
	}
	return func(ctx context.Context, c *Call, next Handler) error {
		if exempt[c.Method] {
			return next(ctx)
		}
		caller, err := a.AuthenticateHeader(c.Authorization)
		if err != nil {
			return err
		}
		c.Caller = caller
		return next(identity.NewContext(ctx, caller))
	}
}
