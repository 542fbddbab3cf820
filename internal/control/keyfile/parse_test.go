package keyfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

const (
	secret  = "s3cr3t-0123456789abcdef"
	another = "s3cr3t-fedcba9876543210"
)

func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func TestParse(t *testing.T) {
	got, err := Parse("keys.yaml", []byte(`
# who may do what
- name: shop
  key: `+secret+`
  scopes: [emit, read]
  namespaces: ["/shop", "tenant-*"]
  rooms: ["order:*"]
- name: shop
  key-sha256: `+strings.ToUpper(hash(another))+`
  scopes: []
- {name: worker, certificate: "worker-*.internal", scopes: [consume, authorize]}
- name: operator
  key: 12345678901234567890
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []identity.Key{
		{Name: "shop", Secret: secret, Rights: identity.Rights{
			Scopes: []identity.Scope{identity.Emit, identity.Read}, Namespaces: []string{"/shop", "tenant-*"}, Rooms: []string{"order:*"},
		}},
		{Name: "shop", Hash: sha256.Sum256([]byte(another))},
		{Name: "worker", Certificate: "worker-*.internal", Rights: identity.Rights{Scopes: []identity.Scope{identity.Consume, identity.Authorize}}},
		{Name: "operator", Secret: "12345678901234567890"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, err := identity.NewAuthenticator(got, false); err != nil {
		t.Error(err)
	}
}

// A file that is no good says all that is wrong: file, line, entry and cure, and no key.
func TestParseRefuses(t *testing.T) {
	entry := "- name: shop\n  key: " + secret + "\n"
	tests := []struct {
		name, text string
		want       []string // of each problem in turn, all parts separated by |
	}{
		{"nothing", "", []string{"keys.yaml: holds no key|name and a key"}},
		{"comments", "# none yet\n", []string{"keys.yaml: holds no key"}},
		{"an empty list", "[]", []string{"line 1: is no list"}},
		{"a mapping", "name: shop\n", []string{"line 1: is no list|- name: NAME"}},
		{"no YAML", entry + "  scopes: [emit\n", []string{"keys.yaml: yaml: line"}},
		{"two documents", entry + "---\n" + entry, []string{"more than one document"}},
		{"a word", "- " + secret + "\n", []string{"line 1, entry 1: is no mapping"}},
		{"a key for a field", "- " + secret + ": shop\n", []string{"line 1, entry 1: unknown field: there are name, key", "has no name", "has 0 of key"}},
		{"a key that begins with a star", "- name: shop\n  key: *" + secret + "\n", []string{"an alias that no anchor defines: put a key"}},
		{"an unknown field", entry + "  scope: [emit]\n", []string{`line 3, entry 1 ("shop"): unknown field "scope": there are name, key, key-sha256, certificate, scopes, namespaces, rooms`}},
		{"a field twice", entry + "  name: other\n", []string{`line 3, entry 1 ("shop"): name is given twice`}},
		{"no name", "- key: " + secret + "\n", []string{"line 1, entry 1: has no name: write"}},
		{"a null name", "- name:\n  key: " + secret + "\n", []string{"name is no text", "has no name"}},
		{"a name of many lines", "- name: \"a\\nb\"\n  key: " + secret + "\n", []string{"control characters"}},
		{"a long name", "- name: " + strings.Repeat("a", 129) + "\n  key: " + secret + "\n", []string{"more than 128 bytes"}},
		{"no key", "- name: shop\n", []string{`entry 1 ("shop"): has 0 of key, key-sha256 and certificate: write one`}},
		{"two keys", entry + "  key-sha256: " + hash(secret) + "\n", []string{"has 2 of"}},
		{"a weak key", "- name: a\n  key: s3cr3t-0\n", []string{`line 2, entry 1 ("a"): the key has fewer than 16 bytes|openssl rand -hex 32`}},
		{"an empty key", "- name: a\n  key: \"\"\n", []string{"fewer than 16 bytes"}},
		{"blanks in a key", "- name: a\n  key: " + secret + " x\n", []string{"blanks"}},
		{"a list of keys", "- name: a\n  key: [" + secret + "]\n", []string{"key is no text", "fewer than 16"}},
		{"a short hash", "- name: a\n  key-sha256: abcd\n", []string{"line 2|no SHA-256|sha256sum"}},
		{"a hash of zeros", "- name: a\n  key-sha256: \"" + strings.Repeat("0", 64) + "\"\n", []string{"no SHA-256"}},
		{"an empty certificate", "- name: a\n  certificate: \"\"\n", []string{"certificate is empty"}},
		{"an unknown scope", entry + "  scopes: [emit, emitt]\n", []string{`line 3, entry 1 ("shop"): unknown scope "emitt": there are emit, read, write, disconnect, consume, authorize, tail, admin`}},
		{"a scope that is no list", entry + "  scopes: emit\n", []string{"scopes is no list"}},
		{"null scopes", entry + "  scopes:\n", []string{"scopes is no list"}},
		{"an empty pattern", entry + "  rooms: [\"\"]\n", []string{"rooms has an entry that is no word"}},
		{"a limited admin", entry + "  scopes: [admin]\n  rooms: [a]\n", []string{"the scope admin is for keys without namespaces and rooms"}},
		{"a key twice", entry + "- name: other\n  key-sha256: " + hash(secret) + "\n", []string{`line 3, entry 2 ("other"): has what entry 1 ("shop", line 1) has`}},
		{"a certificate twice", "- {name: a, certificate: c}\n- {name: b, certificate: c}\n", []string{`line 2, entry 2 ("b"): has what entry 1`}},
		{"several mistakes", "- name: a\n  key: x\n- name: b\n  keys: y\n", []string{"entry 1|fewer than", "entry 2|unknown field \"keys\"", "entry 2|has 0 of"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := Parse("keys.yaml", []byte(tt.text))
			var problems Problems
			if keys != nil || !errors.As(err, &problems) || len(problems) != len(tt.want) {
				t.Fatalf("got %d keys, %v, want %d problems", len(keys), err, len(tt.want))
			}
			for i, want := range tt.want {
				text := problems[i].Error()
				for part := range strings.SplitSeq(want, "|") {
					if !strings.Contains(text, part) {
						t.Errorf("%q lacks %q", text, part)
					}
				}
				if !strings.HasPrefix(text, "keys.yaml") || strings.Contains(text, "s3cr3t") || strings.Contains(text, "\n") {
					t.Errorf("%q: want one line that names the file, and no key", text)
				}
			}
		})
	}
}
