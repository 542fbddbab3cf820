package identity

import (
	"slices"
	"testing"
)

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"a", "A", false},
		{"a*", "ab", true},
		{"a*", "a", false}, // a star stands for something
		{"a*", "a/b", false},
		{"a/*", "a/b", true},
		{"*b", "ab", true},
		{"a*c", "abbbc", true},
		{"a*c", "abbbcd", false},
		{"a*b*c", "a1b2c", true},
		{"a**", "abc", true},
		{"a**", "ab", false},
		{"*", "anything/at all", true},
		{"*", "", true},
		{"a?c", "abc", false},
		{"a?c", "a?c", true},
		{"a[b]c", "abc", false},
		{"a[b]c", "a[b]c", true},
		{`a\b`, `a\b`, true},
		{"a[", "a[", true},
		{"ä*", "äö", true},
		{"a*", "a\xff", true},
		// Patterns within patterns.
		{"a*", "a*", true},
		{"a*", "ab*", true},
		{"ab*", "a*", false},
		{"ab", "a*", false},
		{"*", "a*", true},
		{"a*", "*", false},
		{"a*c", "ab*c", true},
		{"a*c", "a*", false},
	}
	for _, tt := range tests {
		if got := matchesAny([]string{"other", tt.pattern}, tt.name); got != tt.want {
			t.Errorf("%q matches %q: got %v", tt.pattern, tt.name, got)
		}
	}
}

func principal(t *testing.T, r Rights) Principal {
	t.Helper()
	a, err := NewAuthenticator([]Key{{Name: "a", Secret: "key", Rights: r}}, false)
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Authenticate([]string{"Bearer key"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRights(t *testing.T) {
	p := principal(t, Rights{Scopes: []Scope{Emit}, Namespaces: []string{"shop", "/tenant-*"}, Rooms: []string{"order:*"}})
	for what, tt := range map[string]struct{ got, want bool }{
		"has emit":               {p.Has(Emit), true},
		"has read":               {p.Has(Read), false},
		"limited":                {p.Limited(), true},
		"/shop":                  {p.Namespace("/shop"), true},
		"/tenant-1":              {p.Namespace("/tenant-1"), true},
		"/tenant-1*, a pattern":  {p.Namespace("/tenant-1*"), true},
		"/":                      {p.Namespace("/"), false},
		"/*, a pattern":          {p.Namespace("/*"), false},
		"room order:1":           {p.Room("order:1"), true},
		"room orders":            {p.Room("orders"), false},
		"every room":             {p.EveryRoom(), false},
		"rooms only: limited":    {principal(t, Rights{Rooms: []string{"a"}}).Limited(), true},
		"rooms only: namespace":  {principal(t, Rights{Rooms: []string{"a"}}).Namespace("/x"), true},
		"a star: limited":        {principal(t, Rights{Namespaces: []string{"*"}, Rooms: []string{"a", "*"}}).Limited(), false},
		"nothing said: has":      {principal(t, Rights{}).Has(Admin), true},
		"nothing said: limited":  {principal(t, Rights{}).Limited(), false},
		"unlimited: has":         {Unlimited("").Has(Admin), true},
		"unlimited: limited":     {Unlimited("").Limited(), false},
		"nobody: has":            {Principal{}.Has(Emit), false},
		"nobody: limited":        {Principal{}.Limited(), true},
		"nobody: namespace":      {Principal{}.Namespace("/"), false},
		"nobody: room":           {Principal{}.Room("a"), false},
		"nobody: every room":     {Principal{}.EveryRoom(), false},
		"nothing without scope":  {Unlimited("").Require("") == nil, false},
		"unlimited: require":     {Unlimited("").Require(Tail) == nil, true},
		"lacks: require":         {p.Require(Tail) == nil, false},
		"every scope is a scope": {Scope("").Known(), false},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %v", what, tt.got)
		}
	}
	if names, limited := p.Namespaces(); !limited || !slices.Equal(names, []string{"/shop", "/tenant-*"}) {
		t.Errorf("got the namespaces %q, %v", names, limited)
	}
	if names, limited := (Principal{}).Namespaces(); !limited || names != nil {
		t.Errorf("got the namespaces %q, %v of nobody", names, limited)
	}
	if _, limited := Unlimited("").Namespaces(); limited {
		t.Error("an unlimited caller's namespaces are limited")
	}
}
