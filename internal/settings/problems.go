package settings

import (
	"errors"
	"strings"
)

// Problems are errors, each of one line, that were found independently of each
// other.
type Problems []error

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, err := range p {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors, for [errors.Is].
func (p Problems) Unwrap() []error { return p }

// Join returns the problems among errs, which may be nil or Problems themselves;
// nil if there are none.
func Join(errs ...error) error {
	var all Problems
	for _, err := range errs {
		all = append(all, Each(err)...)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// Each returns the problems in err, or err alone if it is none of them; nothing if
// it is nil.
func Each(err error) []error {
	var all Problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &all):
		return all
	}
	return []error{err}
}
