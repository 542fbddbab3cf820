package settings

import (
	"errors"
	"slices"
	"strings"
)

// list is a value of several words: separated by commas in a flag or variable,
// a YAML list in the file.
type list[T any] struct {
	to    *T
	first []string
	want  string
	parse func([]string) (T, error)
}

// List is several words that parse understands: separated by commas in a flag or
// variable, a YAML list in the file. No word is empty; parse is given none at all
// if the setting is. allowed completes the sentence "allowed: …".
func List[T any](to *T, initial []string, allowed string, parse func([]string) (T, error)) Value {
	v := &list[T]{to: to, first: initial, want: allowed, parse: parse}
	mustSet(v.setList(initial))
	return v
}

// Strings is several words, whatever they are.
func Strings(to *[]string, initial []string, allowed string) Value {
	return List(to, initial, allowed, func(items []string) ([]string, error) { return items, nil })
}

func (v *list[T]) allowed() string { return v.want }
func (v *list[T]) initial() string { return strings.Join(v.first, ",") }
func (v *list[T]) kind() string    { return "list" }

func (v *list[T]) set(raw string) error { return v.setList(splitList(raw)) }

// splitList returns the words of a list as it is written in a flag or variable.
func splitList(raw string) []string {
	if strings.TrimSpace(raw) == "" {
		return nil
	}
	items := strings.Split(raw, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
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
