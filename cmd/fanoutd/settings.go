package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// configName is the setting that names the file, and so cannot stand in it.
const configName = "config"

// errHelp is a command line that asks for help.
var errHelp = flag.ErrHelp

// settings are all there are, in the order of the help.
type settings struct {
	all     []*setting
	more    func(*flag.FlagSet) // adds the flags of a command that are no settings; nil: none
	unknown []unknownVariable   // found by read
}

// setting is one thing that can be set, by --name, FANOUTD_NAME, or name in
// the file.
type setting struct {
	name   string
	usage  string
	value  value
	secret bool // never shown, not even in an error

	from  string   // where what is in force came from; empty: the default
	flags []string // what the command line says
}

func (s *settings) add(name, usage string, v value) *setting {
	x := &setting{name: name, usage: usage, value: v}
	s.all = append(s.all, x)
	return x
}

// get returns the setting with this name, or nil.
func (s *settings) get(name string) *setting {
	i := slices.IndexFunc(s.all, func(x *setting) bool { return x.name == name })
	if i < 0 {
		return nil
	}
	return s.all[i]
}

// names lists what can be set, for people who mistyped something.
func (s *settings) names() string {
	var names []string
	for _, x := range s.all {
		names = append(names, x.name)
	}
	return strings.Join(names, ", ")
}

// read sets everything from the file, then from the environment, then from the
// command line: each is checked in full, and the last one is in force.
func (s *settings) read(args, environ []string) error {
	env := s.ours(environ)
	if err := s.parseFlags(args); err != nil {
		return err
	}
	file := s.get(configName)
	if v, ok := env[file]; ok {
		if err := file.set(v, file.variable()); err != nil {
			return err
		}
	}
	if err := file.setFlags(); err != nil {
		return err
	}
	if path := file.value.(*scalar[string]); *path.to != "" {
		if err := s.readFile(*path.to); err != nil {
			return err
		}
	}
	for _, x := range s.all {
		if v, ok := env[x]; ok {
			if err := x.set(v, x.variable()); err != nil {
				return err
			}
		}
		if err := x.setFlags(); err != nil {
			return err
		}
	}
	return nil
}

// parseFlags notes what the command line says, without judging it.
func (s *settings) parseFlags(args []string) error {
	fs := flag.NewFlagSet("fanoutd", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are ours to print, in one line
	for _, x := range s.all {
		fs.Var((*flagNote)(x), x.name, x.usage)
	}
	if s.more != nil {
		s.more(fs)
	}
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return errHelp
	case err != nil:
		if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
			return fmt.Errorf("unknown flag --%s: allowed: %s", name, s.names())
		}
		return err
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q after the flags; a switch is set as in --demo or --demo=false", fs.Arg(0))
	}
	return nil
}

// set sets x to raw, which came from there.
func (x *setting) set(raw, from string) error {
	x.from = from
	return x.refused(raw, x.value.set(raw))
}

// setFlags sets x to what the command line says, if it says anything. The last
// of several wins, except that half a list is never dropped.
func (x *setting) setFlags() error {
	if len(x.flags) == 0 {
		return nil
	}
	x.from = "flag --" + x.name
	if _, ok := x.value.(listed); ok && len(x.flags) > 1 {
		return x.errorf("given %d times: give the whole list once, separated by commas", len(x.flags))
	}
	return x.set(x.flags[len(x.flags)-1], x.from)
}

// refused is the error for a value that x does not take, if it does not.
func (x *setting) refused(raw string, err error) error {
	if err == nil {
		return nil
	}
	shown := fmt.Sprintf("%q", raw)
	if x.secret {
		shown = "the value"
	}
	if errors.Is(err, errNotAllowed) {
		return x.errorf("%s is not allowed; allowed: %s", shown, x.value.allowed())
	}
	return x.errorf("%s is not allowed: %v; allowed: %s", shown, err, x.value.allowed())
}

// isSet reports whether somebody set x, be it to nothing.
func (x *setting) isSet() bool { return x.from != "" }

// errorf is an error that names x and where its value came from.
func (x *setting) errorf(format string, args ...any) error {
	from := x.from
	if !x.isSet() {
		from = "the default"
	}
	return fmt.Errorf("%s (%s): %w", x.name, from, fmt.Errorf(format, args...))
}

// flagNote is a setting as the flag package sees it: it takes everything.
type flagNote setting

func (f *flagNote) String() string { return "" }

func (f *flagNote) Set(raw string) error {
	f.flags = append(f.flags, raw)
	return nil
}

func (f *flagNote) IsBoolFlag() bool {
	_, ok := f.value.(boolean)
	return ok
}
