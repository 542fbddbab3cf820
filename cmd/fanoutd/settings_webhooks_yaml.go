package main

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlProblem is how the YAML library says what does not fit: in the words of Go.
var yamlProblem = regexp.MustCompile(`^line (\d+): (?:field (\S+) not found in type .+|cannot unmarshal !!\S+ (?:` + "`(.*)` " + `)?into (.+))$`)

// yamlWanted is what may stand where the library wants a value of a type.
var yamlWanted = map[string]string{
	"time.Duration":       "write a duration such as 10s",
	"bool":                "write true or false",
	"int":                 "write a number",
	"string":              "write a word, in quotes if need be",
	"[]string":            "write a list such as [a, b]",
	"main.webhookEntry":   `write entries that begin with "- url: URL"`,
	"[]main.webhookEntry": `write a list of entries that begin with "- url: URL"`,
}

// webhookKeys are the keys of an entry.
func webhookKeys() (keys []string) {
	for field := range reflect.TypeFor[webhookEntry]().Fields() {
		keys = append(keys, field.Tag.Get("yaml"))
	}
	return keys
}

// yamlError is an error of the YAML library about webhooks-file, for people who wrote the file.
func yamlError(err error) error {
	var all *yaml.TypeError
	if !errors.As(err, &all) {
		return err
	}
	said := make([]string, len(all.Errors))
	for i, text := range all.Errors {
		said[i] = text
		m := yamlProblem.FindStringSubmatch(text)
		switch {
		case m == nil:
		case m[2] != "":
			said[i] = fmt.Sprintf("line %s: unknown key %q: there are %s", m[1], m[2], strings.Join(webhookKeys(), ", "))
		case yamlWanted[m[4]] != "":
			said[i] = strings.TrimSpace(fmt.Sprintf("line %s: %s", m[1], m[3])) + " is not what belongs there: " + yamlWanted[m[4]]
		}
	}
	return errors.New(strings.Join(said, "; "))
}
