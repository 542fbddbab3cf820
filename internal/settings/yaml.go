package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readYAML sets what the file at path says: one mapping of names to words or
// lists of words. Hyphens and underscores in a name are the same.
func (s *Set) readYAML(path string) error {
	if s.FileText == nil {
		var err error
		if s.FileText, err = ReadFile(path); err != nil {
			return s.file.Errorf("%v", err)
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(s.FileText))
	var doc yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil // nothing but comments
	} else if err != nil {
		return s.file.Errorf("%s: %s", path, yamlProblem(err))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return s.file.Errorf("%s holds more than one document", path)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return s.file.Errorf("%s, line %d: not a mapping of settings, as in \"listen: :8080\"", path, root.Line)
	}
	var problems []error
	lines := map[*Setting]int{}
	for i := 0; i < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		source := fmt.Sprintf("file %s, line %d", path, key.Line)
		x := s.Get(strings.ReplaceAll(key.Value, "_", "-"))
		switch {
		case x == nil || key.Kind != yaml.ScalarNode:
			problems = append(problems, fmt.Errorf("unknown setting %q (%s): no setting has this name; the nearest is %s", key.Value, source, s.nearest(key.Value).Name))
		case x == s.file:
			problems = append(problems, fmt.Errorf("%s (%s): the file cannot name another file", x.Name, source))
		case lines[x] > 0:
			problems = append(problems, fmt.Errorf("%s (%s): set already in line %d", x.Name, source, lines[x]))
		default:
			lines[x] = key.Line
			problems = append(problems, x.setNode(node, source))
		}
	}
	return Join(problems...)
}

// yamlProblem is what the parser says, but for the one text in which it repeats a
// value: a secret may begin with a star, which YAML takes for an alias.
func yamlProblem(err error) string {
	if strings.Contains(err.Error(), "unknown anchor") {
		return "yaml: an alias that no anchor defines; a value that begins with * needs quotes"
	}
	return err.Error()
}

// setNode sets x to a value in the file.
func (x *Setting) setNode(node *yaml.Node, source string) error {
	items, isList := x.Value.(listed)
	x.source = source
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag != "!!null":
		return x.set(node.Value, source)
	case node.Kind == yaml.SequenceNode && isList:
		words := make([]string, len(node.Content))
		for i, n := range node.Content {
			if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
				return x.problem("entry %d is not a word; allowed: %s", i+1, x.Value.allowed())
			}
			words[i] = n.Value
		}
		x.raw, x.items = strings.Join(words, ", "), words
		return x.refused(x.raw, items.setList(words))
	case isList:
		return x.problem("neither a word nor a list; allowed: %s", x.Value.allowed())
	}
	return x.problem("not a single word; allowed: %s", x.Value.allowed())
}
