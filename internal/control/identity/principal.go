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

	rights *Rights         // nil: none
	ended  <-chan struct{} // closed when they are no longer the caller's; may be nil
}

// Unlimited returns a caller of this name who may do everything.
func Unlimited(name string) Principal {
	return Principal{Name: name, rights: &Rights{}}
}

// Ended is closed when the key, or certificate, that the caller came with is valid no
// longer or has other rights. It is nil where nobody is asked for one.
func (p Principal) Ended() <-chan struct{} { return p.ended }

// Has reports whether the caller may do what needs this scope.
func (p Principal) Has(s Scope) bool {
	return p.rights != nil && (s == Any || len(p.rights.Scopes) == 0 || slices.Contains(p.rights.Scopes, s))
}

// Limited reports whether there are namespaces or rooms that the caller must not name.
func (p Principal) Limited() bool { return p.rights == nil || p.rights.Limited() }

// Namespace reports whether the caller may name this namespace, or pattern of some, by
// its full name.
func (p Principal) Namespace(name string) bool {
	return p.rights != nil && matchesAny(p.rights.Namespaces, name)
}

// Namespaces returns the names and patterns of the namespaces that the caller may name;
// limited is false if it may name all.
func (p Principal) Namespaces() (names []string, limited bool) {
	if p.rights == nil {
		return nil, true
	}
	return limitedTo(p.rights.Namespaces)
}

// Rooms does for rooms what Namespaces does for namespaces.
func (p Principal) Rooms() (names []string, limited bool) {
	if p.rights == nil {
		return nil, true
	}
	return limitedTo(p.rights.Rooms)
}

func limitedTo(patterns []string) (names []string, limited bool) {
	if everything(patterns) {
		return nil, false
	}
	return slices.Clone(patterns), true
}

// Room reports whether the caller may name this room.
func (p Principal) Room(name string) bool {
	return p.rights != nil && matchesAny(p.rights.Rooms, name)
}

// EveryRoom reports whether the caller may name every room, and so whoever is in any.
func (p Principal) EveryRoom() bool { return p.rights != nil && everything(p.rights.Rooms) }

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
