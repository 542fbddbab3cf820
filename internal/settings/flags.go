package settings

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// parseFlags notes what the command line says, without judging it. Its error is
// [ErrHelp], or all that stands there and sets nothing.
func (s *Set) parseFlags(args []string) error {
	fs := flag.NewFlagSet(s.program, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are returned, in one line
	for _, x := range s.All() {
		fs.Var((*flagNote)(x), x.Name, x.Help)
	}
	if s.MoreFlags != nil {
		s.MoreFlags(fs)
	}
	var problems []error
	for {
		err := fs.Parse(args)
		args = fs.Args()
		switch {
		case errors.Is(err, flag.ErrHelp):
			return ErrHelp
		case err == nil && len(args) == 0:
			return Join(problems...)
		case err == nil:
			problems = append(problems, fmt.Errorf("unexpected argument %q after the flags; a switch is set as in --demo or --demo=false", withoutValue(args[0])))
			args = args[1:]
		default:
			var problem error
			args, problem = s.flagProblem(err, args)
			problems = append(problems, problem)
		}
	}
}

// flagProblem returns what is left of args, those that were not parsed yet, and says in our
// words what is wrong with a flag.
func (s *Set) flagProblem(err error, args []string) (left []string, problem error) {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
			args = args[1:] // what it was to be set to, it seems
		}
		return args, fmt.Errorf("unknown flag --%s: no setting has this name; the nearest is --%s", name, s.nearest(name).Name)
	}
	if arg, ok := strings.CutPrefix(err.Error(), "bad flag syntax: "); ok {
		return args[1:], fmt.Errorf("%q is no flag: write --name=value", withoutValue(arg))
	}
	return args, err
}

// withoutValue is an argument that sets nothing, to be shown: what it was to set
// may be a secret.
func withoutValue(arg string) string {
	name, _, _ := strings.Cut(arg, "=")
	return name
}

// setFlags sets x to what the command line says, if it says anything. The last
// of several wins, except that half a list is never dropped.
func (x *Setting) setFlags() error {
	if len(x.flags) == 0 {
		return nil
	}
	source := "flag --" + x.Name
	if _, ok := x.Value.(listed); ok && len(x.flags) > 1 {
		x.source = source
		return x.problem("given %d times: give the whole list once, separated by commas", len(x.flags))
	}
	return x.set(x.flags[len(x.flags)-1], source)
}

// flagNote is a setting as the flag package sees it: it takes everything.
type flagNote Setting

func (f *flagNote) String() string { return "" }

func (f *flagNote) Set(raw string) error {
	f.flags = append(f.flags, raw)
	return nil
}

func (f *flagNote) IsBoolFlag() bool {
	_, ok := f.Value.(boolean)
	return ok
}
