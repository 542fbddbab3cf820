package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Value is the type of a setting, its default, and the place of what it is set
// to. The functions of this package that return one set that place to the
// default, and panic if the type refuses it.
type Value interface {
	set(raw string) error
	// allowed completes the sentence "allowed: …".
	allowed() string
	// initial is the default as one would write it.
	initial() string
	// kind is what the documentation calls the type.
	kind() string
}

// listed is a value that is a list in the file.
type listed interface {
	Value
	setList(items []string) error
}

// ErrNotAllowed is what a parse function returns if there is nothing to say but
// what is allowed.
var ErrNotAllowed = errors.New("not allowed")

// mustSet keeps a default that its own type refuses from going unnoticed.
func mustSet(err error) {
	if err != nil {
		panic(fmt.Sprintf("the default of a setting: %v", err))
	}
}

// scalar is a value written as one word.
type scalar[T any] struct {
	to    *T
	first string
	want  string
	named string // the kind
	parse func(string) (T, error)
}

// Scalar is one word that parse understands. allowed says what that is, to
// complete the sentence "allowed: …".
func Scalar[T any](to *T, initial, allowed string, parse func(string) (T, error)) Value {
	return newScalar(to, initial, allowed, parse)
}

func newScalar[T any](to *T, initial, allowed string, parse func(string) (T, error)) *scalar[T] {
	v := &scalar[T]{to: to, first: initial, want: allowed, named: kindOf(*to), parse: parse}
	mustSet(v.set(initial))
	return v
}

// kindOf names the type of a scalar. A type of the program's own is written as text.
func kindOf(v any) string {
	switch v.(type) {
	case bool:
		return "switch"
	case int:
		return "number"
	case time.Duration:
		return "duration"
	case Address:
		return "address"
	}
	return "text"
}

func (v *scalar[T]) allowed() string { return v.want }
func (v *scalar[T]) initial() string { return v.first }
func (v *scalar[T]) kind() string    { return v.named }

func (v *scalar[T]) set(raw string) error {
	parsed, err := v.parse(raw)
	if err == nil {
		*v.to = parsed
	}
	return err
}

// String is any text.
func String(to *string, initial string) Value {
	return Scalar(to, initial, "any text", func(raw string) (string, error) { return raw, nil })
}

// File is the name of a file.
func File(to *string) Value {
	v := newScalar(to, "", "the name of a file", func(raw string) (string, error) { return raw, nil })
	v.named = "file"
	return v
}

// boolean is told apart for its flag, which needs no value.
type boolean struct{ *scalar[bool] }

// Bool is true or false; the flag alone means true.
func Bool(to *bool, initial bool) Value {
	return boolean{newScalar(to, strconv.FormatBool(initial), "true or false", func(raw string) (bool, error) {
		if raw != "true" && raw != "false" {
			return false, ErrNotAllowed
		}
		return raw == "true", nil
	})}
}

// maxDuration is where a mistake becomes likelier than a reason.
const maxDuration = 24 * time.Hour

// Duration is a duration from 1ms to 24h, as [time.ParseDuration] reads it.
func Duration(to *time.Duration, initial time.Duration) Value {
	const allowed = "a duration from 1ms to 24h such as 300ms or 25s"
	return Scalar(to, initial.String(), allowed, func(raw string) (time.Duration, error) {
		d, err := time.ParseDuration(raw)
		if err != nil || d < time.Millisecond || d > maxDuration {
			return 0, ErrNotAllowed
		}
		return d, nil
	})
}

// OptionalDuration is 0, or a duration from least to 24h.
func OptionalDuration(to *time.Duration, initial, least time.Duration) Value {
	allowed := fmt.Sprintf("0, or a duration from %v to 24h such as 2m", least)
	return Scalar(to, initial.String(), allowed, func(raw string) (time.Duration, error) {
		d, err := time.ParseDuration(raw)
		if err != nil || d != 0 && d < least || d > maxDuration {
			return 0, ErrNotAllowed
		}
		return d, nil
	})
}

// Number is a whole number from least to most.
func Number(to *int, initial, least, most int) Value {
	return number(to, initial, fmt.Sprintf("a number from %d to %d", least, most), least, most)
}

// Bytes is a size in bytes from least to most.
func Bytes(to *int, initial, least, most int) Value {
	return number(to, initial, fmt.Sprintf("a number of bytes from %d to %d", least, most), least, most)
}

func number(to *int, initial int, allowed string, least, most int) Value {
	return Scalar(to, strconv.Itoa(initial), allowed, func(raw string) (int, error) {
		n, err := strconv.Atoi(raw)
		if err != nil || n < least || n > most {
			return 0, ErrNotAllowed
		}
		return n, nil
	})
}

// Choice is one of the words that choices has.
func Choice[T any](to *T, initial string, choices map[string]T) Value {
	allowed := strings.Join(slices.Sorted(maps.Keys(choices)), ", ")
	v := newScalar(to, initial, allowed, func(raw string) (T, error) {
		v, ok := choices[raw]
		if !ok {
			return v, ErrNotAllowed
		}
		return v, nil
	})
	v.named = "choice"
	return v
}
