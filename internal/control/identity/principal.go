package identity

import (
	"context"
	"slices"
)

// Principal is who calls. The zero Principal may do nothing.
type Principal struct {
	// Name is the name of the key that the call brought. Calls with one name are
	// those of one caller. Empty where nobody is asked for a key.
	Name string

	rights *rights // nil: none
}

// Unlimited returns a caller of this name who may do everything.
func Unlimited(name string) Principal {
	return Principal{Name: name, rights: &rights{}}
}

// Has reports whether the caller may do what needs this scope.
func (p Principal) Has(s Scope) bool {
	return p.rights != nil && (len(p.rights.scopes) == 0 || slices.Contains(p.rights.scopes, s))
}

// Require returns nil if the caller may do what needs this scope, and a *[ScopeError]
// otherwise. Nobody may do what needs none.
func (p Principal) Require(s Scope) error {
	if s == "" || !p.Has(s) {
		return &ScopeError{Scope: s, Caller: p.Name}
	}
	return nil
}

type contextKey struct{}

// NewContext returns ctx with p as the caller.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// FromContext returns the caller, the zero Principal if nobody said who it is.
func FromContext(ctx context.Context) Principal {
	p, _ := ctx.Value(contextKey{}).(Principal)
	return p
}
