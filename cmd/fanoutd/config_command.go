package main

import (
	"fmt"
	"io"
)

// configure carries out fanoutd config and returns the exit code.
func configure(args []string, stdout, stderr io.Writer) int {
	action := ""
	if len(args) > 0 {
		action = args[0]
	}
	switch action {
	case "docs":
		if len(args) > 1 {
			fmt.Fprintf(stderr, "fanoutd: config docs takes nothing behind it: %q\n", args[1:])
			return exitSettings
		}
		printConfigDocs(stdout)
		return exitOK
	}
	fmt.Fprintf(stderr, "fanoutd: unknown config command %q: there is docs\n", action)
	return exitSettings
}
