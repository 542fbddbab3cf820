package main

import (
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fanoutd/fanoutd/internal/cli"
)

// printCommandsDocs prints docs/command-line-reference.md: what root and the commands below it
// declare.
func printCommandsDocs(w io.Writer, root *cobra.Command) {
	fmt.Fprint(w, `# Command line reference

<!-- Written by "fanoutd commands" from what the commands declare: "make generate" renews it. -->

Every command, with its flags. [command-line.md](command-line.md) is the guide, with what the commands show. `+"`fanoutd help COMMAND`"+`,
or `+"`fanoutd COMMAND --help`"+`, prints what stands here. Flags stand before or behind other words; what is meant in capitals is yours.

## How the daemon is reached

Commands that call a daemon have these flags too. A variable in place of a flag is its default.

`)
	caller, _, err := root.Find([]string{"emit"}) // as good as any that calls
	if err != nil {
		panic(err) // it is there
	}
	printFlagsTable(w, caller.PersistentFlags())
	fmt.Fprint(w, `
## Exit codes

Of commands that call a daemon; [errors.md](errors.md#exit-codes) has those of the daemon.

| code | means |
|---|---|
`)
	for _, e := range cli.Exits() {
		fmt.Fprintf(w, "| %d | %s |\n", e.Code, e.Means)
	}
	for _, topic := range cli.Topics() {
		fmt.Fprintf(w, "\n## %s\n\n%s\n", topic.Title, markdown(topic.Text))
	}
	for _, group := range root.Groups() {
		fmt.Fprintf(w, "\n## %s\n", strings.TrimSuffix(group.Title, ":"))
		for _, c := range root.Commands() {
			if c.GroupID == group.ID && c.IsAvailableCommand() || c.Name() == "help" && group.ID == groupDaemon {
				printCommandDocs(w, c)
			}
		}
	}
}

// printCommandDocs prints what c is, and the commands below it.
func printCommandDocs(w io.Writer, c *cobra.Command) {
	fmt.Fprintf(w, "\n### %s\n\n", c.CommandPath())
	switch {
	case c.Name() == "help" || c.Name() == "completion": // the library's, with much text
		fmt.Fprintf(w, "`%s`: %s.\n", c.UseLine(), c.Short)
		if c.HasSubCommands() {
			fmt.Fprintln(w)
		}
		for _, below := range c.Commands() {
			fmt.Fprintf(w, "- `%s`: %s.\n", below.UseLine(), below.Short)
		}
		return
	case c.Name() == "serve":
		fmt.Fprint(w, "`fanoutd [serve] [flags]`\n\nRuns the daemon. Its flags are the settings: [configuration.md](configuration.md).\n")
		return
	case c.Name() == "config":
		fmt.Fprintf(w, "%s. Flags are the settings: [configuration.md](configuration.md).\n\n%s\n", c.Short, markdown(configUsage))
		return
	}
	flags, use := c.LocalNonPersistentFlags(), c.UseLine()
	own, ok := ownFlags[c.Name()]
	if ok {
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		own.add(fs)
		flags = pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.AddGoFlagSet(fs)
		use += " [flags]"
	}
	text, explained := c.Long, []string(nil)
	for _, topic := range cli.Topics() {
		if before, behind, found := strings.Cut(text, topic.Text); found {
			text = before + behind
			explained = append(explained, fmt.Sprintf("[%s](#%s)", topic.Title, strings.ToLower(strings.ReplaceAll(topic.Title, " ", "-"))))
		}
	}
	fmt.Fprintf(w, "`%s`\n\n%s\n", use, markdown(text))
	if explained != nil {
		fmt.Fprintf(w, "\nSee %s.\n", strings.Join(explained, " and "))
	}
	if own.settings {
		fmt.Fprint(w, "\nThe settings are flags too: [configuration.md](configuration.md).\n")
	}
	if anyFlag(flags) {
		fmt.Fprintln(w)
		printFlagsTable(w, flags)
	}
	if c.HasExample() {
		fmt.Fprint(w, "\nFor example:\n\n")
		for example := range strings.Lines(c.Example) {
			fmt.Fprintf(w, "- `%s`\n", strings.TrimSpace(example))
		}
	}
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			printCommandDocs(w, below)
		}
	}
}

// anyFlag reports whether there is a flag to be listed.
func anyFlag(flags *pflag.FlagSet) (any bool) {
	flags.VisitAll(func(f *pflag.Flag) { any = any || f.Name != "help" })
	return any
}

// defaultIn finds the default that the usage of a flag ends with.
var defaultIn = regexp.MustCompile(`^(.*) \(default (.*)\)$`)

// emptyUnits finds units of a duration of which there are none behind a larger one.
var emptyUnits = regexp.MustCompile(`(\d[hm])(?:0m)?(?:0s)?$`)

// printFlagsTable prints flags with their defaults and meanings.
func printFlagsTable(w io.Writer, flags *pflag.FlagSet) {
	fmt.Fprint(w, "| flag | default | meaning |\n|---|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := "`--" + f.Name
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		if value != "" && f.Value.Type() != "bool" {
			name += " " + strings.ToUpper(value)
		}
		initial := f.DefValue
		if found := defaultIn.FindStringSubmatch(usage); found != nil {
			usage, initial = found[1], found[2]
		}
		if slices.Contains([]string{"", "false", "0", "0s", "[]"}, initial) {
			initial = "–"
		} else if f.Value.Type() == "duration" {
			initial = emptyUnits.ReplaceAllString(initial, "$1")
		}
		fmt.Fprintf(w, "| %s` | %s | %s |\n", name, cell(initial), cell(usage))
	})
}

// cell is text as it stands in a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// item is a line of help that names something and says, behind blanks, what it is.
var item = regexp.MustCompile(`^  (\S.*?) {2,}(\S.*)$`)

// markdown is the text of help as Markdown: what it has in columns becomes a list.
func markdown(text string) string {
	var lines []string
	for line := range strings.Lines(strings.Trim(text, "\n")) {
		line = strings.TrimRight(line, "\n")
		found := item.FindStringSubmatch(line)
		switch {
		case found != nil && len(line)-len(strings.TrimLeft(line, " ")) == 2:
			lines = append(lines, fmt.Sprintf("- `%s`: %s", found[1], found[2]))
		case strings.HasPrefix(line, "  ") && len(lines) > 0: // the item goes on
			lines[len(lines)-1] += " " + strings.TrimSpace(line)
		default:
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
