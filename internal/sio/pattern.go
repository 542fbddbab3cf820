package sio

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Pattern matches names of namespaces; see [CheckNamespace].
type Pattern struct{ name, match string } // match: as path.Match takes it

// EveryNamespace is the pattern that every name matches. In others a star stands for one
// character or more, none of them a slash. Of a server it lets clients into namespaces that
// nothing else of its list matches.
const EveryNamespace = "*"

// NewPattern returns the pattern with this text, which CheckNamespace accepts.
func NewPattern(name string) Pattern {
	// A star stands for something: "/" is no child of "/*".
	return Pattern{name, strings.ReplaceAll(name, "*", "?*")}
}

// Matches reports whether the pattern matches the whole name.
func (p Pattern) Matches(name string) bool {
	if p.name == EveryNamespace {
		return true
	}
	ok, err := path.Match(p.match, name)
	return ok && err == nil
}

// Spans reports whether a name is a pattern, so that a target with it means the namespaces
// that match.
func Spans(namespace string) bool { return strings.Contains(namespace, "*") }

// CheckNamespace reports why name is neither the name of a namespace nor a
// pattern of names, if so. In a pattern, each * stands for one character or
// more, none of them a slash; [EveryNamespace] is one too.
func CheckNamespace(name string) error {
	switch {
	case name == EveryNamespace:
		return nil
	case !strings.HasPrefix(name, "/"), strings.ContainsAny(name, ",?"):
		return fmt.Errorf("%q is no namespace: it starts with / and holds neither comma nor question mark", name)
	case strings.Contains(name, "*") && (strings.Contains(name, "**") || strings.ContainsAny(name, `[]\`)):
		return fmt.Errorf("%q is no pattern: besides single * it holds no **, brackets or backslashes", name)
	}
	return nil
}

// Overlap reports whether a name exists that both match: each is a name, or a
// pattern that [CheckNamespace] accepts.
func Overlap(a, b string) bool {
	if a == EveryNamespace || b == EveryNamespace {
		return true
	}
	// A state is how much of each has matched the same bytes of a name.
	type state struct{ i, j int }
	done := map[state]bool{}
	todo := []state{{0, 0}}
	// next returns how much has matched after one more byte: a star takes one or
	// more.
	next := func(s string, i int) []int {
		if s[i] == '*' {
			return []int{i, i + 1}
		}
		return []int{i + 1}
	}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if at.i == len(a) && at.j == len(b) {
			return true
		}
		if done[at] || at.i == len(a) || at.j == len(b) || !sameByte(a[at.i], b[at.j]) {
			continue
		}
		done[at] = true
		for _, i := range next(a, at.i) {
			for _, j := range next(b, at.j) {
				todo = append(todo, state{i, j})
			}
		}
	}
	return false
}

// sameByte reports whether a byte exists that both match; a star matches any but
// a slash.
func sameByte(x, y byte) bool {
	return x == y || x == '*' && y != '/' || y == '*' && x != '/'
}

// FindPattern returns the first pattern among names that the namespace matches,
// empty if there is none: [EveryNamespace] if no other does.
func FindPattern(names []string, namespace string) string {
	found := ""
	for _, name := range names {
		switch {
		case name == EveryNamespace:
			found = name
		case Spans(name) && NewPattern(name).Matches(namespace):
			return name
		}
	}
	return found
}

// OnlyEvery reports whether it is [EveryNamespace] alone that has the namespace among names:
// neither its own name nor another pattern does.
func OnlyEvery(names []string, namespace string) bool {
	return !slices.Contains(names, namespace) && FindPattern(names, namespace) == EveryNamespace
}
