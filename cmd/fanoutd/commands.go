package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fanoutd/fanoutd/internal/cli"
)

// groupDaemon holds the commands that run a daemon or are about its settings.
const groupDaemon = "daemon"

// exitError is an exit code of which the command has said why.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// runCommand carries out the command that args name.
func runCommand(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	root := newRoot(environ, stdout, stderr)
	root.SetArgs(args)
	c, err := root.ExecuteContextC(ctx)
	said := exitError(0)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &said):
		return int(said)
	case c == root:
		fmt.Fprintf(stderr, "fanoutd: %s; fanoutd help lists the commands\n", strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", " "))
	default:
		fmt.Fprintf(stderr, "%s: %v\n", c.CommandPath(), err)
	}
	return int(cli.ExitCode(err))
}

// newRoot returns all commands.
func newRoot(environ []string, stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "fanoutd",
		Short: "Fan out events to browsers",
		Long: `fanoutd: browsers connect by Socket.IO, backends tell it by gRPC what to send to whom.

fanoutd [serve] runs the daemon, by the settings below. The other commands are for people,
and call the daemon that --address or FANOUTD_ADDRESS names: localhost:8081 unless they do.`,
		SilenceErrors: true, SilenceUsage: true, DisableAutoGenTag: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddGroup(&cobra.Group{ID: groupDaemon, Title: "Run a daemon, and prepare for it:"})
	cli.Add(root, environ)
	for _, c := range []*cobra.Command{
		whole("serve", "Run the daemon", func(c *cobra.Command) { printServeHelp(c.OutOrStdout()) },
			func(c *cobra.Command, args []string) int { return serveAs(c.Context(), args, environ, stdout, stderr) }),
		whole("config", "Check, print or begin the settings", func(c *cobra.Command) { printConfigHelp(c.OutOrStdout()) },
			func(_ *cobra.Command, args []string) int { return runConfig(args, environ, stdout, stderr) }),
		whole("token", "Make a token for development", helpOwnFlags,
			func(c *cobra.Command, args []string) int { return printToken(c, args, environ, stdout, stderr) }),
		whole("healthcheck", "Ask at ops-listen whether the daemon of these settings is ready", helpOwnFlags,
			func(c *cobra.Command, args []string) int { return checkHealth(c, args, environ, stdout, stderr) }),
		whole("proto", "Print the files of the contract that this daemon speaks, or write them into a folder", helpOwnFlags,
			func(_ *cobra.Command, args []string) int { return runProto(args, stdout, stderr) }),
		printed("metrics", "Print every metric as Markdown", printMetricsDocs),
		printed("errors", "Print every error and reason as Markdown", printErrorsDocs),
		printed("commands", "Print every command as Markdown", func(w io.Writer) { printCommandsDocs(w, root) }),
		whole("version", "Say which build this is", nil, func(*cobra.Command, []string) int {
			fmt.Fprintln(stdout, readBuild())
			return exitOK
		}),
	} {
		root.AddCommand(c)
	}
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		help(c, args)
		if c == root { // which is serve, where no command is named
			fmt.Fprint(stdout, "\nSettings of the daemon:\n\n")
			newSettings(&config{}).WriteHelp(stdout)
		}
	})
	root.SetHelpCommandGroupID(groupDaemon)
	root.SetCompletionCommandGroupID(groupDaemon)
	return root
}

// flagsRead are the flags of commands that read them by themselves, and whether they take the
// settings too.
type flagsRead struct {
	add      func(*flag.FlagSet) // nil: none but settings
	settings bool
}

// ownFlags are these by the command.
var ownFlags = map[string]flagsRead{
	"serve":       {nil, true},
	"token":       {new(grantFlags).add, true},
	"healthcheck": {new(healthFlags).add, true},
	"proto":       {func(fs *flag.FlagSet) { addProtoFlags(fs, new(string)) }, false},
}

// helpOwnFlags prints the help of one of these.
func helpOwnFlags(c *cobra.Command) { printFlagsHelp(c.OutOrStdout(), c, ownFlags[c.Name()]) }

// whole returns a command that reads what stands behind it by itself: the settings, whose
// errors name their source. help, unless nil, prints its help.
func whole(name, short string, help func(*cobra.Command), do func(c *cobra.Command, args []string) int) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short, Long: short + ".", GroupID: groupDaemon,
		DisableFlagParsing: true, DisableFlagsInUseLine: true,
		ValidArgsFunction: completeWhole,
		RunE: func(c *cobra.Command, args []string) error {
			if asksForHelp(args) {
				return c.Help()
			}
			if code := do(c, args); code != exitOK {
				return exitError(code)
			}
			return nil
		},
	}
	if help != nil {
		c.SetHelpFunc(func(c *cobra.Command, _ []string) { help(c) })
	}
	return c
}

// printed returns a command that prints one thing and takes nothing behind it.
func printed(name, short string, print func(io.Writer)) *cobra.Command {
	return whole(name, short, nil, func(c *cobra.Command, args []string) int {
		if err := nothingBehind(name, args); err != nil {
			printProblems(c.ErrOrStderr(), err)
			return exitSettings
		}
		print(c.OutOrStdout())
		return exitOK
	})
}

// completeWhole completes the flags of a command that reads them by itself, and behind those that take a value files.
func completeWhole(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	takes, ok := ownFlags[c.Name()]
	if c.Name() == "config" {
		if len(args) == 0 {
			return begunWith(begun, configCommands), cobra.ShellCompDirectiveNoFileComp
		}
		ok = slices.Contains(configOfSettings, args[0])
		takes.settings = ok
	}
	switch {
	case !ok:
		return nil, cobra.ShellCompDirectiveNoFileComp
	case !strings.HasPrefix(begun, "--") || strings.Contains(begun, "="):
		return nil, cobra.ShellCompDirectiveDefault
	}
	var all []string
	if takes.add != nil {
		fs := flag.NewFlagSet(c.Name(), flag.ContinueOnError)
		takes.add(fs)
		fs.VisitAll(func(f *flag.Flag) {
			word := "--" + f.Name
			if is, ok := f.Value.(interface{ IsBoolFlag() bool }); !ok || !is.IsBoolFlag() {
				word += "="
			}
			all = append(all, word)
		})
	}
	if takes.settings {
		for _, x := range newSettings(&config{}).All() {
			all = append(all, "--"+x.Name+"=")
		}
	}
	return begunWith(begun, all), cobra.ShellCompDirectiveNoSpace
}

// begunWith returns those of the words that begin so.
func begunWith(begun string, words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool { return !strings.HasPrefix(word, begun) })
}
