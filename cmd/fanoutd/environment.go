package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// envPrefix starts the variables that are ours.
const envPrefix = "FANOUTD_"

// envName is the variable of the setting with this name.
func envName(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// variable says that a value came from the environment.
func (x *setting) variable() string { return "environment variable " + envName(x.name) }

// ours picks the variables that are settings, and notes those that look as if
// they were meant to be.
func (s *settings) ours(environ []string) map[*setting]string {
	env := map[*setting]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		rest, ok := strings.CutPrefix(name, envPrefix)
		if !ok {
			continue
		}
		x := s.get(strings.ToLower(strings.ReplaceAll(rest, "_", "-")))
		switch {
		case x != nil && envName(x.name) == name:
			env[x] = value
		case !isServiceVariable(name, value):
			s.unknown = append(s.unknown, unknownVariable{name: name, nearest: s.nearest(name)})
		}
	}
	slices.SortFunc(s.unknown, func(a, b unknownVariable) int { return strings.Compare(a.name, b.name) })
	return env
}

// unknownVariable is a variable with our prefix that sets nothing. Its value may
// be a secret and is not kept.
type unknownVariable struct {
	name    string
	nearest string // the variable of a setting whose name is the least different
}

func (v unknownVariable) String() string {
	return fmt.Sprintf("environment variable %s is no setting and is ignored; the nearest is %s", v.name, v.nearest)
}

var (
	// serviceVariable is a variable whose value is not looked at.
	serviceVariable = regexp.MustCompile(`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$`)
	// serviceLink is a variable whose value is a URL such as tcp://10.0.0.1:8080.
	serviceLink = regexp.MustCompile(`_PORT(_[0-9]+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://`)
)

// isServiceVariable reports whether Kubernetes sets the variable in containers
// beside a Service whose name starts with fanoutd (Kubernetes, Service,
// environment variables).
func isServiceVariable(name, value string) bool {
	return serviceVariable.MatchString(name) || serviceLink.MatchString(name+"="+value)
}

// nearest returns the variable of the setting whose name differs least.
func (s *settings) nearest(name string) string {
	name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	x := slices.MinFunc(s.all, func(a, b *setting) int {
		return cmp.Compare(distance(envName(a.name), name), distance(envName(b.name), name))
	})
	return envName(x.name)
}

// distance is how many letters have to be added, left out or replaced to make b
// of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1) // distances between a[:i] and each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
