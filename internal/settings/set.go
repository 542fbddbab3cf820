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

	// FileText is what the file of [ConfigFile] holds, from [Set.Read] on. If it is set
	// before, it counts in place of the file, which is not read.
	FileText []byte

	// MoreFlags adds the flags of a command that are no settings, so that they may
	// stand among those that are. Default: none.
	MoreFlags func(*flag.FlagSet)

	// OtherVariables are variables that begin with the program's name, are no settings and
	// are known all the same: other commands of the program read them. Default: none.
	OtherVariables []string
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

// Texts returns what is in force of each setting, by its name, as text that differs if
// two sets do not say the same. It has secrets.
func (s *Set) Texts() map[string]string {
	texts := map[string]string{}
	for _, x := range s.All() {
		texts[x.Name] = strings.Join(x.words(), "\x00") // in which no value has a meaning
	}
	return texts
}

// Read sets everything from the file, then from the environment ("NAME=value"),
// then from args. Its error is [Problems], all there are, for the person at the
// terminal, or [ErrHelp]. What is refused stays as it was, so with an error the
// values are good for further checks of what is not [Set.Bad] and for nothing else.
// It is called once.
func (s *Set) Read(args, environ []string) error {
	env := s.variables(environ)
	err := s.parseFlags(args)
	if errors.Is(err, ErrHelp) {
		return err
	}
	problems := []error{err, s.readConfigFile(env)}
	for _, x := range s.All() {
		if x != s.file {
			problems = append(problems, x.setFrom(env))
		}
	}
	return Join(problems...)
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

// Bad reports whether something was wrong with one of the settings called names, at
// any of its sources: then its value says nothing.
func (s *Set) Bad(names ...string) bool {
	for _, name := range names {
		if s.Get(name).bad {
			return true
		}
	}
	return false
}
