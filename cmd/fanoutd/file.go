package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile sets what the YAML file at path says: one mapping of names to words
// or lists of words. Hyphens and underscores in a name are the same.
func (s *settings) readFile(path string) error {
	file := s.get(configName)
	text, err := readSmall(path)
	if err != nil {
		return file.errorf("%v", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil // nothing but comments
	} else if err != nil {
		return file.errorf("%s: %v", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return file.errorf("%s holds more than one document", path)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return file.errorf("%s, line %d: not a mapping of settings, as in \"listen: :8080\"", path, root.Line)
	}
	lines := map[*setting]int{}
	for i := 0; i < len(root.Content); i += 2 {
		key, node := root.Content[i], root.Content[i+1]
		from := fmt.Sprintf("file %s, line %d", path, key.Line)
		x := s.get(strings.ReplaceAll(key.Value, "_", "-"))
		switch {
		case x == nil || key.Kind != yaml.ScalarNode:
			return fmt.Errorf("unknown setting %q (%s): allowed: %s", key.Value, from, s.names())
		case x == file:
			return fmt.Errorf("%s (%s): the file cannot name another file", x.name, from)
		case lines[x] > 0:
			return fmt.Errorf("%s (%s): set already in line %d", x.name, from, lines[x])
		}
		lines[x] = key.Line
		x.from = from
		if err := x.setNode(node); err != nil {
			return err
		}
	}
	return nil
}

// setNode sets x to a value in the file.
func (x *setting) setNode(node *yaml.Node) error {
	items, isList := x.value.(listed)
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag != "!!null":
		return x.refused(node.Value, x.value.set(node.Value))
	case node.Kind == yaml.SequenceNode && isList:
		words := make([]string, len(node.Content))
		for i, n := range node.Content {
			if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
				return x.errorf("entry %d is not a word; allowed: %s", i+1, x.value.allowed())
			}
			words[i] = n.Value
		}
		return x.refused(strings.Join(words, ", "), items.setList(words))
	case isList:
		return x.errorf("neither a word nor a list; allowed: %s", x.value.allowed())
	}
	return x.errorf("not a single word; allowed: %s", x.value.allowed())
}
