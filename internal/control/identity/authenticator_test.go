package identity

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestAuthenticateHeader(t *testing.T) {
	one, two := Key{Name: "a", Secret: "one"}, Key{Name: "b", Secret: "two"}
	tests := []struct {
		name   string
		keys   []Key
		header []string
		want   string // the caller's name
		err    error
	}{
		{"no keys are set", nil, nil, "", nil},
		{"no keys are set, one is sent", nil, []string{"Bearer one"}, "", nil},
		{"no keys are set, nonsense is sent", nil, []string{"x", ""}, "", nil},
		{"no header", []Key{one}, nil, "", ErrKeyMissing},
		{"the key", []Key{one}, []string{"Bearer one"}, "a", nil},
		{"the scheme in lower case", []Key{one}, []string{"bearer one"}, "a", nil},
		{"the first of two", []Key{one, two}, []string{"Bearer one"}, "a", nil},
		{"the second of two", []Key{one, two}, []string{"Bearer two"}, "b", nil},
		{"the next one of the same caller", []Key{one, {Name: "a", Secret: "next"}}, []string{"Bearer next"}, "a", nil},
		{"another key", []Key{one, two}, []string{"Bearer three"}, "", ErrKeyInvalid},
		{"part of the key", []Key{one}, []string{"Bearer on"}, "", ErrKeyInvalid},
		{"an empty key", []Key{one}, []string{"Bearer "}, "", ErrKeyInvalid},
		{"an empty header", []Key{one}, []string{""}, "", ErrKeyInvalid},
		{"no scheme", []Key{one}, []string{"one"}, "", ErrKeyInvalid},
		{"another scheme", []Key{one}, []string{"Basic one"}, "", ErrKeyInvalid},
		{"two headers", []Key{one}, []string{"Bearer one", "Bearer one"}, "", ErrKeyInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := NewAuthenticator(tt.keys, len(tt.keys) == 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := a.AuthenticateHeader(tt.header)
			if got.Name != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("got %q, %v, want %q, %v", got.Name, err, tt.want, tt.err)
			}
		})
	}
}

func TestAuthenticateWithoutBearer(t *testing.T) {
	a, err := NewAuthenticator([]Key{{Secret: "one"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.authenticate(""); !errors.Is(err, ErrKeyMissing) {
		t.Errorf("got %v, want %v", err, ErrKeyMissing)
	}
}

func TestNewAuthenticatorRefuses(t *testing.T) {
	tests := []struct {
		name     string
		keys     []Key
		insecure bool
	}{
		{"neither keys nor insecure", nil, false},
		{"keys and insecure", []Key{{Secret: "secret"}}, true},
		{"an empty key", []Key{{Secret: "secret"}, {}}, false},
		{"blanks around a key", []Key{{Secret: "secret "}}, false},
		{"one key twice", []Key{{Name: "a", Secret: "secret"}, {Secret: "secret2"}, {Name: "b", Secret: "secret"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := NewAuthenticator(tt.keys, tt.insecure)
			if a != nil || err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, %v, want an error without the keys", a, err)
			}
		})
	}
}

// Replaced keys hold from the next call on; bad ones leave the old ones.
func TestReplace(t *testing.T) {
	one, two := Key{Name: "a", Secret: "secret one"}, Key{Name: "b", Secret: "secret two"}
	a, err := NewAuthenticator([]Key{one}, false)
	if err != nil {
		t.Fatal(err)
	}
	accepts := func(k Key) bool {
		got, err := a.AuthenticateHeader([]string{"Bearer " + k.Secret})
		return err == nil && got.Name == k.Name
	}
	for i, keys := range [][]Key{nil, {{}}, {two, {Secret: " secret"}}} {
		if changed, err := a.Replace(keys); changed || err == nil || strings.Contains(err.Error(), "secret") || !accepts(one) || accepts(two) {
			t.Errorf("bad keys %d: changed %v, %v", i, changed, err)
		}
	}
	for _, tt := range []struct {
		keys     []Key
		changed  bool
		one, two bool
	}{{[]Key{one}, false, true, false}, {[]Key{one, two}, true, true, true}, {[]Key{two}, true, false, true}} {
		if changed, err := a.Replace(tt.keys); changed != tt.changed || err != nil || accepts(one) != tt.one || accepts(two) != tt.two {
			t.Errorf("%d keys: changed %v, %v; takes one %v, two %v", len(tt.keys), changed, err, accepts(one), accepts(two))
		}
	}
}

func TestContext(t *testing.T) {
	if got := FromContext(context.Background()); got != (Principal{}) {
		t.Errorf("got %v from a context without caller", got)
	}
	want := Principal{Name: "a"}
	if got := FromContext(NewContext(t.Context(), want)); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
