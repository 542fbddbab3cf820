package identity

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// LimitError is why a call is refused whose caller has the scope for it, but namespaces or
// rooms that it does not keep to.
type LimitError struct {
	Caller string // by name
	Field  string // of the request, that names what the caller must not; empty: the call as such
	Rooms  bool   // of a call as such: it is for keys with namespaces, but not for those with rooms
}

func (e *LimitError) Error() string {
	if e.Field == "" && e.Rooms {
		return fmt.Sprintf("the key %q has rooms, and what this call shows cannot be limited by rooms", e.Caller)
	}
	if e.Field == "" {
		return fmt.Sprintf("the key %q has namespaces or rooms, and such a key may not call this", e.Caller)
	}
	return fmt.Sprintf("%s: outside the namespaces or rooms of the key %q", e.Field, e.Caller)
}

// Rights are what a caller may do. The zero Rights are everything. They are not
// changed once they are in use.
type Rights struct {
	// Scopes are those that the caller has. Empty: all.
	Scopes []Scope

	// Namespaces are those that the caller may name, by their names or by patterns in
	// which a * stands for one character or more, none of them a slash. A missing
	// leading slash is added. Empty, or with an entry "*": all.
	Namespaces []string

	// Rooms are those that the caller may name, likewise.
	Rooms []string
}

// Limited reports whether there are namespaces or rooms that the caller must not name.
func (r *Rights) Limited() bool {
	return !everything(r.Namespaces) || !everything(r.Rooms)
}

func (r *Rights) equal(o *Rights) bool {
	return slices.Equal(r.Scopes, o.Scopes) && slices.Equal(r.Namespaces, o.Namespaces) && slices.Equal(r.Rooms, o.Rooms)
}

// withSlashes is r with full names of namespaces.
func (r Rights) withSlashes() Rights {
	full := make([]string, len(r.Namespaces))
	for i, name := range r.Namespaces {
		if full[i] = name; name != anything && !strings.HasPrefix(name, "/") {
			full[i] = "/" + name
		}
	}
	r.Namespaces = full
	return r
}

// anything is the pattern that matches every name, slashes or not.
const anything = "*"

func everything(patterns []string) bool {
	return len(patterns) == 0 || slices.Contains(patterns, anything)
}

// matchesAny reports whether one of patterns matches the name. A name that is a
// pattern itself is matched if all that it matches is.
func matchesAny(patterns []string, name string) bool {
	return everything(patterns) || slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// matches reports whether the pattern matches the whole name. Each star of a name that
// is a pattern is taken for a character that no pattern spells out but as a star:
// so it can only be part of what a star stands for.
func matches(pattern, name string) bool {
	ok, err := path.Match(asPath.Replace(pattern), name)
	return ok && err == nil
}

// asPath has path.Match read a pattern: a star stands for something, and nothing else
// is special.
var asPath = strings.NewReplacer("*", "?*", "?", `\?`, "[", `\[`, `\`, `\\`)
