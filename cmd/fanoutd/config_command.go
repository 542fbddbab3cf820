package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/settings"
)

// configCommands are the commands below fanoutd config.
var configCommands = []string{"check", "print", "default", "docs"}

// configOfSettings are those of them that take settings.
var configOfSettings = []string{"check", "print"}

// runConfig carries out fanoutd config and returns the exit code.
func runConfig(args, environ []string, stdout, stderr io.Writer) int {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	var err error
	switch command {
	case "check":
		err = checkConfig(args, environ, stdout)
	case "print":
		err = printConfig(args, environ, stdout, stderr)
	case "default":
		if err = nothingBehind("config "+command, args); err == nil {
			err = printDefaults(stdout)
		}
	case "docs":
		if err = nothingBehind("config "+command, args); err == nil {
			printConfigDocs(stdout)
		}
	default:
		err = fmt.Errorf("unknown config command %q: there are %q", command, configCommands)
	}
	switch {
	case errors.Is(err, settings.ErrHelp):
		printConfigHelp(stdout)
	case err != nil:
		printProblems(stderr, err)
		return exitSettings
	}
	return exitOK
}

// printConfigHelp prints what there is below fanoutd config.
func printConfigHelp(w io.Writer) {
	fmt.Fprintf(w, "Check, print or begin the settings, which fanoutd help serve lists.\n\nUsage:\n%s", configUsage)
}

// configUsage are the commands below config.
const configUsage = `  fanoutd config check [flags]  check the settings that the daemon would have, files
                                that they name included, and an unknown variable too
  fanoutd config print [flags]  print them as YAML, each with where it came from
  fanoutd config default        print a YAML file with every setting, in comments
  fanoutd config docs           print every setting as Markdown
`

func nothingBehind(command string, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes nothing behind it, and there is %q", command, withoutValues(args))
	}
	return nil
}

// withoutValues is args to be shown: a value may be a secret.
func withoutValues(args []string) []string {
	shown := slices.Clone(args)
	for i, arg := range shown {
		name, _, _ := strings.Cut(arg, "=")
		shown[i] = name
	}
	return shown
}

// checkConfig returns what is wrong with the settings; an unknown variable is an error
// here, since who checks wants to know.
func checkConfig(args, environ []string, stdout io.Writer) error {
	c, err := load(args, environ)
	if errors.Is(err, settings.ErrHelp) {
		return err
	}
	problems := []error{err}
	for _, v := range c.unknown {
		problems = append(problems, fmt.Errorf("environment variable %s: no setting has this name; the nearest is %s", v.Name, v.Nearest))
	}
	if err := settings.Join(problems...); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, "the settings are valid")
	return err
}

// printConfig prints what the daemon would have of each setting.
func printConfig(args, environ []string, stdout, stderr io.Writer) error {
	c, err := load(args, environ)
	for _, v := range c.unknown {
		fmt.Fprintln(stderr, "fanoutd:", v)
	}
	if err != nil {
		return err
	}
	return c.set.WriteValues(stdout)
}

// printDefaults prints a file to begin with.
func printDefaults(stdout io.Writer) error {
	if _, err := fmt.Fprint(stdout, `# Settings of fanoutd, all at their defaults: take the # in front of a name away to
# set it. "fanoutd config check --config FILE" says whether the file is right.

`); err != nil {
		return err
	}
	return newSettings(&config{}).WriteDefaults(stdout)
}
