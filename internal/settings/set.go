package settings

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// ConfigFile is the setting that names the YAML file. A [Set] that declares it,
// with a [String], reads that file; it cannot stand in the file itself.
const ConfigFile = "config"

// ErrHelp is what [Set.Read] returns if the command line asks for help.
var ErrHelp = flag.ErrHelp

// Set is all settings of a program.
type Set struct {
	program string // variables begin with this in capitals, and _
	groups  []group
	file    *Setting // the one called ConfigFile; nil: not declared
	unknown []UnknownVariable

	// MoreFlags adds the flags of a command that are no settings, so that they may
	// stand among those that are. Default: none.
	MoreFlags func(*flag.FlagSet)
}

// group is settings that people look for together.
type group struct {
	title    string
	settings []*Setting
}

// New returns an empty set for the program with this name, in small letters.
func New(program string) *Set { return &Set{program: program} }

// Declare adds settings to the end of the group with this title, which is new if
// there is none. It panics if a name is declared twice.
func (s *Set) Declare(title string, all ...Setting) {
	i := slices.IndexFunc(s.groups, func(g group) bool { return g.title == title })
	if i < 0 {
		i = len(s.groups)
		s.groups = append(s.groups, group{title: title})
	}
	for _, x := range all {
		if s.Get(x.Name) != nil {
			panic(fmt.Sprintf("the setting %s is declared twice", x.Name))
		}
		x.variable = strings.ToUpper(s.program) + "_" + strings.ToUpper(strings.ReplaceAll(x.Name, "-", "_"))
		s.groups[i].settings = append(s.groups[i].settings, &x)
		if x.Name == ConfigFile {
			s.file = &x
		}
	}
}

// All returns the settings in the order of their groups.
func (s *Set) All() []*Setting {
	var all []*Setting
	for _, g := range s.groups {
		all = append(all, g.settings...)
	}
	return all
}

// Get returns the setting with this name, or nil.
func (s *Set) Get(name string) *Setting {
	for _, g := range s.groups {
		for _, x := range g.settings {
			if x.Name == name {
				return x
			}
		}
	}
	return nil
}

// names lists what can be set, for people who mistyped something.
func (s *Set) names() string {
	var names []string
	for _, x := range s.All() {
		names = append(names, x.Name)
	}
	return strings.Join(names, ", ")
}

// Read sets everything from the file, then from the environment ("NAME=value"),
// then from args. Its error is one line for the person at the terminal, or
// [ErrHelp]. It is called once.
func (s *Set) Read(args, environ []string) error {
	env := s.variables(environ)
	if err := s.parseFlags(args); err != nil {
		return err
	}
	if err := s.readConfigFile(env); err != nil {
		return err
	}
	for _, x := range s.All() {
		if err := x.setFrom(env); err != nil {
			return err
		}
	}
	return nil
}

// readConfigFile reads the file that the environment or the command line names.
func (s *Set) readConfigFile(env map[*Setting]string) error {
	if s.file == nil {
		return nil
	}
	if err := s.file.setFrom(env); err != nil {
		return err
	}
	if path := s.file.raw; path != "" {
		return s.readYAML(path)
	}
	return nil
}

// Setting declares one thing that can be set.
type Setting struct {
	Name       string // small letters and hyphens
	Help       string // for the list of settings
	Value      Value  // type, default and destination
	Secret     bool   // never shown, not even in an error
	Reloadable bool   // may take effect without a restart

	variable string
	source   string   // where the value in force came from; empty: the default
	raw      string   // that value as it was written
	flags    []string // what the command line says
}

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

// Errorf returns an error that names x and its source.
func (x *Setting) Errorf(format string, args ...any) error {
	return fmt.Errorf("%s (%s): %w", x.Name, x.Source(), fmt.Errorf(format, args...))
}

// setFrom sets x to what the environment says, and then to what the command line
// says, if they say anything.
func (x *Setting) setFrom(env map[*Setting]string) error {
	if raw, ok := env[x]; ok {
		if err := x.set(raw, "environment variable "+x.variable); err != nil {
			return err
		}
	}
	return x.setFlags()
}

// set sets x to raw, which came from there.
func (x *Setting) set(raw, source string) error {
	x.source, x.raw = source, raw
	return x.refused(raw, x.Value.set(raw))
}

// refused is the error for a value that x does not take, if it does not.
func (x *Setting) refused(raw string, err error) error {
	if err == nil {
		return nil
	}
	shown := fmt.Sprintf("%q", raw)
	if x.Secret {
		shown = "the value"
	}
	if errors.Is(err, ErrNotAllowed) {
		return x.Errorf("%s is not allowed; allowed: %s", shown, x.Value.allowed())
	}
	return x.Errorf("%s is not allowed: %v; allowed: %s", shown, err, x.Value.allowed())
}
