package settings

import (
	"errors"
	"fmt"
	"strings"
)

// Setting declares one thing that can be set.
type Setting struct {
	Name   string // small letters and hyphens
	Help   string // for the list of settings
	Value  Value  // type, default and destination
	Secret bool   // never shown, not even in an error

	// Reloadable says that a change takes effect without a restart: of a [File], a change
	// of what is in it.
	Reloadable bool

	variable string
	source   string   // where the value in force came from; empty: the default
	raw      string   // that value as it was written
	items    []string // of a list in the file: its words
	flags    []string // what the command line says
	bad      bool     // something is wrong with it at one of its sources
}

// IsFile reports whether x names a file.
func (x *Setting) IsFile() bool { return x.Value.kind() == "file" }

// IsSet reports whether somebody set x, be it to nothing.
func (x *Setting) IsSet() bool { return x.source != "" }

// IsEmpty reports whether somebody set x to nothing, as when a variable was meant
// to be filled in.
func (x *Setting) IsEmpty() bool { return x.IsSet() && strings.TrimSpace(x.raw) == "" }

// Source says where the value of x came from.
func (x *Setting) Source() string {
	if !x.IsSet() {
		return "the default"
	}
	return x.source
}

// words is what x is set to, or its default: a list's words, or else one or, if there is
// nothing, none.
func (x *Setting) words() []string {
	switch {
	case !x.IsSet():
		return x.initialWords()
	case x.items != nil:
		return x.items
	}
	return x.split(x.raw)
}

// initialWords are the words of the default.
func (x *Setting) initialWords() []string { return x.split(x.Value.initial()) }

func (x *Setting) split(raw string) []string {
	if _, ok := x.Value.(listed); ok || raw == "" {
		return splitList(raw)
	}
	return []string{raw}
}

// Errorf returns an error that names x and its source.
func (x *Setting) Errorf(format string, args ...any) error {
	return fmt.Errorf("%s (%s): %w", x.Name, x.Source(), fmt.Errorf(format, args...))
}

// problem is Errorf where x is to blame.
func (x *Setting) problem(format string, args ...any) error {
	x.bad = true
	return x.Errorf(format, args...)
}

// setFrom sets x to what the environment says, and then to what the command line
// says, if they say anything.
func (x *Setting) setFrom(env map[*Setting]string) error {
	var problem error
	if raw, ok := env[x]; ok {
		problem = x.set(raw, "environment variable "+x.variable)
	}
	return Join(problem, x.setFlags())
}

// set sets x to raw, which came from there.
func (x *Setting) set(raw, source string) error {
	x.source, x.raw, x.items = source, raw, nil
	return x.refused(raw, x.Value.set(raw))
}

// refused is the error for a value that x does not take, if it does not.
func (x *Setting) refused(raw string, err error) error {
	if err == nil {
		return nil
	}
	shown := withoutPasswords(fmt.Sprintf("%q", raw))
	if x.Secret {
		shown = "the value"
	}
	if errors.Is(err, ErrNotAllowed) {
		return x.problem("%s is not allowed; allowed: %s", shown, x.Value.allowed())
	}
	return x.problem("%s is not allowed: %s; allowed: %s", shown, withoutPasswords(err.Error()), x.Value.allowed())
}
