package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// printHelp prints the commands and all settings with their defaults.
func printHelp(w io.Writer) {
	fmt.Fprint(w, `fanoutd: browsers connect by Socket.IO, backends tell it by gRPC what to send to whom.

Usage:
  fanoutd [serve] [flags]   run the daemon
  fanoutd token [flags]     make a token for development, such as browsers need
                            with jwt-secret, jwt-public-key-file or jwks-url
  fanoutd version           say which build this is
  fanoutd help              show this

Each setting can be a flag, an environment variable or a key of the file that
--config names; a flag overrides a variable, a variable overrides the file.
Lists are separated by commas, or YAML lists in the file. --ping-interval,
FANOUTD_PING_INTERVAL, ping-interval and ping_interval are the same.

Settings:
`)
	for _, x := range newSettings(&config{}).all {
		usage := x.usage
		if first := x.value.initial(); first != "" {
			usage += " (default " + first + ")"
		}
		fmt.Fprintf(w, "  --%-20s %s\n", x.name, wrap(usage, 56, strings.Repeat(" ", 25)))
	}
	fmt.Fprint(w, "\nFlags of fanoutd token besides the settings:\n")
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	new(grantFlags).add(fs)
	fs.VisitAll(func(f *flag.Flag) {
		_, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  --%-20s %s\n", f.Name, wrap(usage, 56, strings.Repeat(" ", 25)))
	})
	fmt.Fprint(w, `
Exit codes: 0 after a shutdown, 1 if a listener cannot be bound or serving
fails, 2 if the settings are wrong.
`)
}

// wrap breaks text between words into lines of about width, and indents all
// but the first.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	line := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case line+len(word) >= width:
			b.WriteString("\n" + indent)
			line = 0
		default:
			b.WriteByte(' ')
		}
		b.WriteString(word)
		line += len(word) + 1
	}
	return b.String()
}
