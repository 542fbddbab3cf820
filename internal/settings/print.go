package settings

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// hidden is written in place of a secret.
const hidden = "***"

// userinfo is what a URL has in front of its host.
var userinfo = regexp.MustCompile(`://[^/?#\s"@]*@`)

// withoutPasswords hides in text what URLs have in front of their hosts, which may be a
// password: their settings are none, and shown.
func withoutPasswords(text string) string { return userinfo.ReplaceAllString(text, "://"+hidden+"@") }

// WriteValues writes what is in force of each setting as YAML, and behind it where that
// came from. Secrets are hidden. What nobody set and has no default is empty.
func (s *Set) WriteValues(w io.Writer) error {
	return s.write(w, func(x *Setting) error {
		node := valueNode(x.Value.kind(), x.words())
		if x.Secret && len(x.words()) > 0 {
			node = valueNode("text", []string{hidden})
		}
		text, err := inline(node)
		if err != nil {
			return fmt.Errorf("%s: %w", x.Name, err)
		}
		text = withoutPasswords(text)
		source := x.source
		switch {
		case source == "" && len(x.words()) == 0:
			source = "not set"
		case source == "":
			source = "default"
		}
		_, err = fmt.Fprintf(w, "%s: %s # %s\n", x.Name, text, source)
		return err
	})
}

// WriteDefaults writes a YAML file to begin with: each setting with its help and its
// default, all of it in comments, so that the file sets nothing.
func (s *Set) WriteDefaults(w io.Writer) error {
	return s.write(w, func(x *Setting) error {
		if x == s.file { // the file cannot name another
			return nil
		}
		example := ""
		if initial := x.initialWords(); len(initial) > 0 {
			text, err := inline(valueNode(x.Value.kind(), initial))
			if err != nil {
				return fmt.Errorf("%s: %w", x.Name, err)
			}
			example = " " + text
		}
		_, err := fmt.Fprintf(w, "\n# %s\n# Allowed: %s\n#%s:%s\n",
			wrap(sentence(x.Help), 76, "# "), wrap(x.Value.allowed(), 67, "# "), x.Name, example)
		return err
	})
}

// write writes the settings, group by group.
func (s *Set) write(w io.Writer, setting func(*Setting) error) error {
	for i, g := range s.groups {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if _, err := fmt.Fprintf(w, "# %s\n", g.title); err != nil {
			return err
		}
		for _, x := range g.settings {
			if err := setting(x); err != nil {
				return err
			}
		}
	}
	return nil
}

// valueNode is a value of that kind in a file.
func valueNode(kind string, words []string) *yaml.Node {
	if kind == "list" {
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, word := range words {
			list.Content = append(list.Content, valueNode("text", []string{word}))
		}
		return list
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.Join(words, "")}
	switch kind {
	case "number":
		node.Tag = "!!int"
	case "switch":
		node.Tag = "!!bool"
	}
	return node
}

// inline is a node in one line.
func inline(node *yaml.Node) (string, error) {
	text, err := yaml.Marshal(node)
	return strings.TrimSuffix(string(text), "\n"), err
}
