package settings

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// WriteMarkdown writes all settings, group by group, each under a heading with its
// name: what it is for, where it can be set, its type, its default and what is
// allowed.
func (s *Set) WriteMarkdown(w io.Writer) {
	for _, g := range s.groups {
		fmt.Fprintf(w, "\n## %s\n", g.title)
		for _, x := range g.settings {
			x.writeMarkdown(w)
		}
	}
}

func (x *Setting) writeMarkdown(w io.Writer) {
	fmt.Fprintf(w, "\n### %s\n\n%s\n\n", x.Name, escapeMarkdown(sentence(x.Help)))
	places := fmt.Sprintf("flag `--%s`, variable `%s`", x.Name, x.variable)
	if x.Name != ConfigFile { // the file cannot name another
		places += fmt.Sprintf(", key `%s`", x.Name)
	}
	fmt.Fprintf(w, "- %s\n- %s, %s; allowed: %s\n", places, x.Value.kind(), x.defaultMarkdown(), escapeMarkdown(x.Value.allowed()))
	switch {
	case x.Reloadable && x.IsFile():
		fmt.Fprintln(w, "- the file is read again when it changes, and at SIGHUP")
	case x.Reloadable:
		fmt.Fprintln(w, "- a change takes effect at SIGHUP")
	default:
		fmt.Fprintln(w, "- a change takes a restart")
	}
	if x.Secret {
		fmt.Fprintln(w, "- a secret: never shown, in no error and no log either")
	}
}

func (x *Setting) defaultMarkdown() string {
	switch initial := x.Value.initial(); {
	case initial != "":
		return "default `" + initial + "`"
	case x.Value.kind() == "list":
		return "empty by default"
	}
	return "not set by default"
}

// sentence is help as a sentence of its own.
func sentence(help string) string {
	first, size := utf8.DecodeRuneInString(help)
	return string(unicode.ToUpper(first)) + help[size:] + "."
}

// escapeMarkdown keeps stars, as in https://*.example.com, from being taken for
// emphasis, and what stands in angle brackets for HTML.
var escapeMarkdown = strings.NewReplacer("*", `\*`, "_", `\_`, "<", "&lt;", "`", "\\`").Replace
