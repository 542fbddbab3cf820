package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is the kind of a setting and the place of what it is set to.
type value interface {
	set(raw string) error
	// allowed completes the sentence "allowed: …".
	allowed() string
	// initial is the default as one would write it.
	initial() string
}

// listed is a value that is a list in the file.
type listed interface {
	value
	setList(items []string) error
}

// scalar is a value written as one word.
type scalar[T any] struct {
	to    *T
	first string
	want  string
	parse func(string) (T, error)
}

func newScalar[T any](to *T, first, want string, parse func(string) (T, error)) *scalar[T] {
	v := &scalar[T]{to: to, first: first, want: want, parse: parse}
	mustSet(v.set(first))
	return v
}

func (v *scalar[T]) allowed() string { return v.want }
func (v *scalar[T]) initial() string { return v.first }

func (v *scalar[T]) set(raw string) error {
	parsed, err := v.parse(raw)
	if err == nil {
		*v.to = parsed
	}
	return err
}

// errNotAllowed adds nothing to what is allowed.
var errNotAllowed = errors.New("not allowed")

// mustSet keeps a default that its own kind refuses from going unnoticed.
func mustSet(err error) {
	if err != nil {
		panic(fmt.Sprintf("the default of a setting: %v", err))
	}
}

func stringValue(to *string, first string) value {
	return newScalar(to, first, "any text", func(s string) (string, error) { return s, nil })
}

// boolean is told apart for its flag, which needs no value.
type boolean struct{ *scalar[bool] }

func boolValue(to *bool, first bool) value {
	return boolean{newScalar(to, strconv.FormatBool(first), "true or false", func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, errNotAllowed
		}
		return s == "true", nil
	})}
}

func durationValue(to *time.Duration, first time.Duration) value {
	// Below a millisecond nothing is told to clients, beyond a day a mistake is
	// likelier than a reason.
	const least, most = time.Millisecond, 24 * time.Hour
	return newScalar(to, first.String(), "a duration from 1ms to 24h such as 300ms or 25s", func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return 0, errNotAllowed
		}
		return d, nil
	})
}

func bytesValue(to *int, first, least, most int) value {
	want := fmt.Sprintf("a number of bytes from %d to %d", least, most)
	return newScalar(to, strconv.Itoa(first), want, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return 0, errNotAllowed
		}
		return n, nil
	})
}

func choiceValue[T any](to *T, first string, choices map[string]T) value {
	want := strings.Join(slices.Sorted(maps.Keys(choices)), ", ")
	return newScalar(to, first, want, func(s string) (T, error) {
		v, ok := choices[s]
		if !ok {
			return v, errNotAllowed
		}
		return v, nil
	})
}

func addressValue(to *address, first string, unix bool) value {
	want := "HOST:PORT or :PORT"
	if unix {
		want += " or unix:/PATH"
	}
	return newScalar(to, first, want, func(s string) (address, error) { return parseAddress(s, unix) })
}

func parseAddress(s string, unix bool) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok && unix && strings.HasPrefix(path, "/") {
		return address{"unix", path}, nil
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return address{}, errNotAllowed
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return address{}, errNotAllowed
	}
	return address{"tcp", s}, nil
}

// list is a value of several words: separated by commas in a flag or variable,
// a YAML list in the file.
type list[T any] struct {
	to    *T
	first []string
	want  string
	parse func([]string) (T, error)
}

func listValue[T any](to *T, first []string, want string, parse func([]string) (T, error)) value {
	v := &list[T]{to: to, first: first, want: want, parse: parse}
	mustSet(v.setList(first))
	return v
}

func (v *list[T]) allowed() string { return v.want }
func (v *list[T]) initial() string { return strings.Join(v.first, ",") }

func (v *list[T]) set(raw string) error {
	if strings.TrimSpace(raw) == "" {
		return v.setList(nil)
	}
	items := strings.Split(raw, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return v.setList(items)
}

func (v *list[T]) setList(items []string) error {
	if slices.Contains(items, "") {
		return errors.New("an entry is empty")
	}
	parsed, err := v.parse(items)
	if err == nil {
		*v.to = parsed
	}
	return err
}
