// Package middleware holds what every transport puts around a call of the
// control API: the coding and logging of errors, the recovery of panics, and who
// the caller is. It knows no transport; a transport makes a [Call] of what it
// received, and runs a [Middleware] with the service as its [Handler].
package middleware

import (
	"context"
	"net"
	"slices"

	"github.com/fanoutd/fanoutd/internal/control"
	"github.com/fanoutd/fanoutd/internal/control/connections"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// Call is what is known of a call before its request is read.
type Call struct {
	// Method is the full name: "/fanout.v1.EmitterService/Emit".
	Method string

	// Authorization is the values of the header or metadata "authorization".
	Authorization []string

	// Level is the values of the header or metadata [control.LevelHeader].
	Level []string

	// Certificate is the names in the certificate that the caller showed, and that has
	// been verified: those of DNS, URIs and the common name.
	Certificate []string

	// Session is who calls by a session that somebody has let in before, so that neither
	// Authorization nor Certificate is looked at; nil: there is none.
	Session *identity.Principal

	// Connection is what the call came by; nil: it is not bounded.
	Connection *connections.Conn

	// Remote is the address that the call came from, for the log; may be nil.
	Remote net.Addr

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

// Access says which calls need what. A method that none of its fields names is one
// that does not exist.
type Access struct {
	// Open are the methods that anybody may call, by their full names.
	Open []string

	// AnyKey are those that everybody with a key may call.
	AnyKey []string

	// Scope returns the scope that a call of any other method needs, false if there
	// is no such method. Nobody may call one with an empty scope.
	Scope func(method string) (scope identity.Scope, known bool)

	// HoldsToLimits reports whether the method holds its callers to their namespaces
	// and rooms. Callers that have some may call no other; nil: none does.
	HoldsToLimits func(method string) bool
}

// Standard is what belongs around every call: errors are coded and logged, a
// panic is an error, the context holds the caller, and it may do what it calls, which
// was written for no later API than there is.
// Tracing belongs in front of it, and what wants to know the caller, such as an
// audit log, behind it.
func Standard(r *control.ErrorReporter, a *identity.Authenticator, access Access) Middleware {
	return chain(reportErrors(r), recoverPanics, authenticate(a, access), checkLevel)
}

// Reported is Standard for what is left of a call that Standard has let in already, as a
// transport needs it that answers only then: errors are coded and logged, and a panic is
// one.
func Reported(r *control.ErrorReporter) Middleware { return chain(reportErrors(r), recoverPanics) }

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
// has r log the rest, and what is refused for who calls.
func reportErrors(r *control.ErrorReporter) Middleware {
	return func(ctx context.Context, c *Call, next Handler) error {
		err := next(ctx)
		ctx = identity.NewContext(ctx, c.Caller)
		r.Refused(ctx, c.Method, c.Remote, err)
		return r.Code(ctx, c.Method, err)
	}
}

// recoverPanics turns a panic into an error.
func recoverPanics(ctx context.Context, _ *Call, next Handler) error {
	return control.Recover(func() error { return next(ctx) })
}

// authenticate puts the caller into the context, and ends calls of callers that a does
// not know, of those who lack the scope that the call needs, and of those with limits that it
// does not hold them to, with that error of package identity. It denies by default: what does not exist needs a key, too, and
// runs nothing.
func authenticate(a *identity.Authenticator, access Access) Middleware {
	open, anyKey := set(access.Open), set(access.AnyKey)
	return func(ctx context.Context, c *Call, next Handler) error {
		caller, err := callerOf(a, c)
		if open[c.Method] {
			if err == nil { // whose connection it is, is known; that it lasts says nothing once the key has ended
				c.Connection.Begin(caller.Ended())
				c.Connection.End(caller.Ended())
			}
			return anybody(ctx, c, next)
		}
		if err != nil {
			return err
		}
		c.Connection.Begin(caller.Ended())
		defer c.Connection.End(caller.Ended())
		c.Caller = caller
		if !anyKey[c.Method] {
			scope, known := access.Scope(c.Method)
			if !known {
				return control.ErrUnknownMethod
			}
			if err := caller.Require(scope); err != nil {
				return err
			}
			if caller.Limited() && (access.HoldsToLimits == nil || !access.HoldsToLimits(c.Method)) {
				return &identity.LimitError{Caller: caller.Name}
			}
		}
		return next(identity.NewContext(ctx, caller))
	}
}

// callerOf returns who calls.
func callerOf(a *identity.Authenticator, c *Call) (identity.Principal, error) {
	if c.Session == nil {
		return a.Authenticate(c.Authorization, c.Certificate)
	}
	select {
	case <-c.Session.Ended():
		return identity.Principal{}, identity.ErrKeyEnded
	default:
		return *c.Session, nil
	}
}

// checkLevel ends calls of callers that were written for a later API than this.
func checkLevel(ctx context.Context, c *Call, next Handler) error {
	if err := control.CheckLevel(c.Level); err != nil {
		return err
	}
	return next(ctx)
}

// anybody runs a call that needs no key. The connection of somebody who is not known may have
// a few of them.
func anybody(ctx context.Context, c *Call, next Handler) error {
	if !c.Connection.BeginOpen() {
		return control.ErrTooManyOpen
	}
	defer c.Connection.EndOpen()
	return next(ctx)
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}
