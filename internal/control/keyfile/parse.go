package keyfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

const (
	// minSecret is how long a bearer key is at least, in bytes: 16 random ones are too
	// many to be tried, also if each is only a letter.
	minSecret = 16

	maxName = 128 // bytes of a caller's name, which stands in logs
)

// fields are those of an entry, in the order in which they are named to people.
var fields = []string{"name", "key", "key-sha256", "certificate", "scopes", "namespaces", "rooms"}

// Problems are all that is wrong with a file, each a line that names the file, the line,
// the entry and the cure, and never a key.
type Problems []error

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, err := range p {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "; ")
}

// Parse returns the keys in the text of the file at path: a YAML list of entries, each
// with the fields name, one of key, key-sha256 and certificate, and, as they are needed,
// scopes, namespaces and rooms; see [identity.Key]. Its error is of type [Problems].
func Parse(path string, text []byte) ([]identity.Key, error) {
	p := parser{path: path}
	for _, node := range p.entries(text) {
		p.entry(node)
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return p.keys, nil
}

// parser reads one file.
type parser struct {
	path     string
	number   int    // of the entry that is read, from 1; 0: none
	name     string // of that entry, if it is known
	keys     []identity.Key
	lines    []int // of keys
	problems Problems
}

func (p *parser) problem(line int, format string, args ...any) {
	where := p.path
	if line > 0 {
		where = fmt.Sprintf("%s, line %d", where, line)
	}
	if p.number > 0 {
		where = fmt.Sprintf("%s, entry %d", where, p.number)
	}
	if p.name != "" {
		where = fmt.Sprintf("%s (%q)", where, p.name)
	}
	p.problems = append(p.problems, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

// entries returns the entries of the list that the text is.
func (p *parser) entries(text []byte) []*yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		p.problem(0, "holds no key: write a list of entries, each with a name and a key")
		return nil
	case err != nil && strings.Contains(err.Error(), "unknown anchor"): // which may be a key
		p.problem(0, "an alias that no anchor defines: put a key that begins with * in quotes")
		return nil
	case err != nil:
		p.problem(0, "%v", err)
		return nil
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		p.problem(0, "holds more than one document: write one list")
		return nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.SequenceNode || len(root.Content) == 0 {
		p.problem(root.Line, "is no list of keys: write entries that begin with \"- name: NAME\"")
		return nil
	}
	return root.Content
}

// entry reads one entry.
func (p *parser) entry(node *yaml.Node) {
	p.number++
	p.name = ""
	before := len(p.problems)
	if node.Kind != yaml.MappingNode {
		p.problem(node.Line, "is no mapping: write fields, as in \"- name: NAME\"")
		return
	}
	p.name = nameOf(node)
	values := map[string]*yaml.Node{}
	for i := 0; i < len(node.Content); i += 2 {
		field, value := node.Content[i], node.Content[i+1]
		switch {
		case !slices.Contains(fields, field.Value):
			p.problem(field.Line, "unknown field%s: there are %s", shown(field.Value), strings.Join(fields, ", "))
		case values[field.Value] != nil:
			p.problem(field.Line, "%s is given twice: leave one", field.Value)
		default:
			values[field.Value] = value
		}
	}
	k := identity.Key{Name: p.word(values, "name")}
	p.checkName(node, k.Name)
	p.credential(node, values, &k)
	for _, scope := range p.words(values, "scopes") {
		s := identity.Scope(scope.Value)
		if !s.Known() {
			p.problem(scope.Line, "unknown scope %q: there are %s", scope.Value, joined(identity.Scopes()))
		}
		k.Scopes = append(k.Scopes, s)
	}
	k.Namespaces, k.Rooms = p.patterns(values, "namespaces"), p.patterns(values, "rooms")
	if slices.Contains(k.Scopes, identity.Admin) && k.Limited() {
		p.problem(node.Line, "the scope admin is for keys without namespaces and rooms: leave either out")
	}
	if len(p.problems) > before {
		return
	}
	p.checkUnique(node, &k)
	p.keys, p.lines = append(p.keys, k), append(p.lines, node.Line)
}

// nameOf returns the name of an entry, empty if it has none.
func nameOf(entry *yaml.Node) string {
	for i := 0; i < len(entry.Content); i += 2 {
		if v := entry.Content[i+1]; entry.Content[i].Value == "name" && v.Kind == yaml.ScalarNode && len(v.Value) <= maxName {
			return v.Value
		}
	}
	return ""
}

func (p *parser) checkName(node *yaml.Node, name string) {
	switch {
	case name == "":
		p.problem(node.Line, "has no name: write \"name: NAME\", which logs and answers have in place of the key")
	case len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl):
		p.problem(node.Line, "its name has more than %d bytes or control characters: write a shorter one", maxName)
	}
}

// credential reads what the caller is known by.
func (p *parser) credential(node *yaml.Node, values map[string]*yaml.Node, k *identity.Key) {
	given := 0
	for _, field := range []string{"key", "key-sha256", "certificate"} {
		if values[field] != nil {
			given++
		}
	}
	if given != 1 {
		p.problem(node.Line, "has %d of key, key-sha256 and certificate: write one of them", given)
		return
	}
	k.Secret, k.Certificate = p.word(values, "key"), p.word(values, "certificate")
	if n := values["key"]; n != nil {
		switch {
		case strings.ContainsFunc(k.Secret, func(r rune) bool { return r <= ' ' || r > '~' }):
			p.problem(n.Line, "the key has blanks or characters beyond ASCII, which no header carries: make one by \"openssl rand -hex 32\"")
		case len(k.Secret) < minSecret:
			p.problem(n.Line, "the key has fewer than %d bytes and can be guessed: make one by \"openssl rand -hex 32\"", minSecret)
		}
	}
	if n := values["key-sha256"]; n != nil {
		sum, err := hex.DecodeString(p.word(values, "key-sha256"))
		if err != nil || len(sum) != sha256.Size || bytes.Equal(sum, make([]byte, sha256.Size)) {
			p.problem(n.Line, "key-sha256 is no SHA-256 in %d hexadecimal digits: make one by \"printf %%s KEY | sha256sum\"", 2*sha256.Size)
			return
		}
		k.Hash = [sha256.Size]byte(sum)
	}
	if n := values["certificate"]; n != nil && k.Certificate == "" {
		p.problem(n.Line, "certificate is empty: write a name that stands in the certificate, or a pattern of them")
	}
}

// checkUnique adds the problem that another entry has the same key or certificate.
func (p *parser) checkUnique(node *yaml.Node, k *identity.Key) {
	for i := range p.keys {
		if what := &p.keys[i]; what.Certificate == k.Certificate && what.Digest() == k.Digest() {
			p.problem(node.Line, "has what entry %d (%q, line %d) has to be known by: give each a key of its own", i+1, what.Name, p.lines[i])
		}
	}
}

// word returns the text of a field, empty if it is not there.
func (p *parser) word(values map[string]*yaml.Node, field string) string {
	n := values[field]
	switch {
	case n == nil:
		return ""
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		p.problem(n.Line, "%s is no text: write a word, in quotes if it has other characters than letters and digits", field)
		return ""
	}
	return n.Value
}

// words returns the entries of a field that is a list, none if it is not there.
func (p *parser) words(values map[string]*yaml.Node, field string) []*yaml.Node {
	n := values[field]
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		p.problem(n.Line, "%s is no list: write [A, B]", field)
		return nil
	}
	for _, x := range n.Content {
		if x.Kind != yaml.ScalarNode || x.Tag == "!!null" || x.Value == "" {
			p.problem(x.Line, "%s has an entry that is no word: write [A, B]", field)
			return nil
		}
	}
	return n.Content
}

func (p *parser) patterns(values map[string]*yaml.Node, field string) (list []string) {
	for _, n := range p.words(values, field) {
		list = append(list, n.Value)
	}
	return list
}

// shown is the name of an unknown field, unless it may be a key in the wrong place.
func shown(name string) string {
	if len(name) >= minSecret {
		return ""
	}
	return fmt.Sprintf(" %q", name)
}

func joined(scopes []identity.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}
