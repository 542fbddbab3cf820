package identity

import "context"

// Principal is who calls.
type Principal struct {
	// Name is the name of the key that the call brought. Calls with one name are
	// those of one caller. Empty where nobody is asked for a key.
	Name string
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
