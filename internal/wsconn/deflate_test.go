package wsconn

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"
)

func TestAcceptsDeflate(t *testing.T) {
	tests := []struct {
		name   string
		offers string // headers apart by |
		want   bool
	}{
		{"none", "", false},
		{"plain", "permessage-deflate", true},
		{"Chrome and Firefox", "permessage-deflate; client_max_window_bits", true},
		{"Safari of old", "x-webkit-deflate-frame", false},
		{"no context takeover", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", true},
		{"a value where there is none", "permessage-deflate; server_no_context_takeover=1", false},
		{"an empty value", "permessage-deflate; server_no_context_takeover=", false},
		{"client window", "permessage-deflate;client_max_window_bits=9", true},
		{"client window, largest", "permessage-deflate;client_max_window_bits=15", true},
		{"client window, too large", "permessage-deflate;client_max_window_bits=16", false},
		{"client window, too small", "permessage-deflate;client_max_window_bits=7", false},
		{"client window, leading zero", "permessage-deflate;client_max_window_bits=09", false},
		{"client window, no number", "permessage-deflate;client_max_window_bits=x", false},
		{"client window, quoted", `permessage-deflate; client_max_window_bits="10"`, true},
		{"server window", "permessage-deflate; server_max_window_bits=10", false},
		{"server window, largest", "permessage-deflate; server_max_window_bits=15", false},
		{"server window, quoted", `permessage-deflate; server_max_window_bits="1\5"`, false},
		{"client window, escaped", `permessage-deflate; client_max_window_bits="1\5"`, true},
		{"server window, no value", "permessage-deflate; server_max_window_bits", false},
		{"server window, sign", "permessage-deflate; server_max_window_bits=+15", false},
		{"unknown parameter", "permessage-deflate; x", false},
		{"unknown parameter with a value", "permessage-deflate; x=permessage-deflate", false},
		{"repeated parameter", "permessage-deflate; client_max_window_bits; client_max_window_bits=10", false},
		{"name in upper case", "Permessage-Deflate", false},
		{"second offer", "permessage-deflate; server_max_window_bits=10, permessage-deflate", true},
		{"second offer, no blanks", "permessage-deflate;server_max_window_bits=10,permessage-deflate", true},
		{"second header", "permessage-deflate; x|permessage-deflate", true},
		{"after another extension", "foo; bar=baz, permessage-deflate", true},
		{"a comma in quotes", `foo; bar="a, permessage-deflate"`, false},
		{"as a parameter of another", "foo; permessage-deflate", false},
		{"as a value of another", "foo; x=permessage-deflate", false},
		{"a longer name", "permessage-deflate2", false},
		{"broken", "permessage-deflate;", false},
		{"broken, then another", "=, permessage-deflate", false},
		{"broken behind the one that counts", "permessage-deflate, =", true},
		{"an empty element", ", permessage-deflate", false},
		{"quotes without an end", `permessage-deflate; client_max_window_bits="10`, false},
		{"blanks in between", "permessage-deflate x", false},
		{"tabs", "\tpermessage-deflate\t;\tclient_max_window_bits\t=\t10\t", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := acceptsDeflate(strings.Split(tt.offers, "|")); got != tt.want {
				t.Errorf("%q: accepted %v, want %v", tt.offers, got, tt.want)
			}
		})
	}
}

func FuzzAcceptsDeflate(f *testing.F) {
	for _, s := range []string{
		"permessage-deflate", "permessage-deflate; client_max_window_bits=10, foo", `a; b="c\"d", permessage-deflate`, ";,=\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if acceptsDeflate([]string{s}) && !strings.Contains(s, "permessage-deflate") {
			t.Errorf("%q was taken for an offer", s)
		}
		for rest, ok := s, true; ok && rest != ""; {
			before := len(rest)
			if _, rest, ok = cutExtension(rest); len(rest) >= before {
				t.Fatalf("%q: no end", s)
			}
		}
	})
}

func TestDeflate(t *testing.T) {
	prefix, data := []byte("4"), bytes.Repeat([]byte("deflate me "), 500)
	r := flate.NewReader(io.MultiReader(bytes.NewReader(Deflate(prefix, data)), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, append(prefix, data...)) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
}
