package settings

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// UnknownVariable is a variable of the environment that begins with the program's
// name and sets nothing. Its value may be a secret and is not kept.
type UnknownVariable struct {
	Name    string
	Nearest string // the variable of a setting that differs least
}

func (v UnknownVariable) String() string {
	return fmt.Sprintf("environment variable %s is no setting and is ignored; the nearest is %s", v.Name, v.Nearest)
}

// Unknown returns the variables that [Set.Read] found and did not know, by name,
// also if it failed: they may be why. Those that Kubernetes sets for a Service
// whose name begins with the program's, and [Set.OtherVariables], are not among them.
func (s *Set) Unknown() []UnknownVariable { return s.unknown }

// variables picks those that are settings, and notes the unknown.
func (s *Set) variables(environ []string) map[*Setting]string {
	byName := map[string]*Setting{}
	for _, x := range s.All() {
		byName[x.variable] = x
	}
	env := map[*Setting]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		x := byName[name]
		switch {
		case x != nil:
			env[x] = value
		case strings.HasPrefix(name, strings.ToUpper(s.program)+"_") && !slices.Contains(s.OtherVariables, name) && !isServiceVariable(name, value):
			s.unknown = append(s.unknown, UnknownVariable{Name: name, Nearest: s.nearest(name).variable})
		}
	}
	slices.SortFunc(s.unknown, func(a, b UnknownVariable) int { return strings.Compare(a.Name, b.Name) })
	return env
}

var (
	// serviceVariable is a variable whose value is not looked at.
	serviceVariable = regexp.MustCompile(`_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)$`)
	// serviceLink is a variable whose value is a URL such as tcp://10.0.0.1:8080.
	serviceLink = regexp.MustCompile(`_PORT(_[0-9]+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://`)
)

// isServiceVariable reports whether Kubernetes sets the variable in containers
// beside a Service (Kubernetes, Service, environment variables).
func isServiceVariable(name, value string) bool {
	return serviceVariable.MatchString(name) || serviceLink.MatchString(name+"="+value)
}

// nearest returns the setting whose variable differs least from name, written as a
// variable or not.
func (s *Set) nearest(name string) *Setting {
	prefix := strings.ToUpper(s.program) + "_"
	name = prefix + strings.TrimPrefix(strings.ToUpper(strings.ReplaceAll(name, "-", "_")), prefix)
	return slices.MinFunc(s.All(), func(a, b *Setting) int {
		return cmp.Compare(distance(a.variable, name), distance(b.variable, name))
	})
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
