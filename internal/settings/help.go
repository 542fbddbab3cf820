package settings

import (
	"fmt"
	"io"
	"strings"
)

// WriteHelp writes all settings with their defaults, group by group.
func (s *Set) WriteHelp(w io.Writer) {
	for i, g := range s.groups {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s:\n", g.title)
		for _, x := range g.settings {
			help := x.Help
			if initial := x.Value.initial(); initial != "" {
				help += " (default " + initial + ")"
			}
			WriteFlag(w, x.Name, help)
		}
	}
}

// WriteFlag writes the help of one flag, as [Set.WriteHelp] does.
func WriteFlag(w io.Writer, name, help string) {
	fmt.Fprintf(w, "  --%-22s %s\n", name, wrap(help, 56, strings.Repeat(" ", 27)))
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
