package sio

import "testing"

func TestCheckNamespace(t *testing.T) {
	for _, name := range []string{"/", "/chat", "/a/b", "/tenant-*", "/*", "/*/*", "/é", "*"} {
		if err := CheckNamespace(name); err != nil {
			t.Errorf("%q refused: %v", name, err)
		}
	}
	for _, name := range []string{"", "chat", "/a,b", "/a?b", "/**", "/[a]*", `/\**`, "**", "*a", "*/"} {
		if CheckNamespace(name) == nil {
			t.Errorf("%q accepted", name)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"/chat", "/chat", true}, {"/chat", "/chats", false}, {"/chat", "/*", true}, {"/", "/*", false},
		{"/t-*", "/t-*", true}, {"/t-*", "/*-1", true}, {"/t-*", "/u-*", false}, {"/*a", "/a*", true},
		{"/*/x", "/y/*", true}, {"/*", "/y/*", false}, {"/a*", "/a", false}, {"/a*b*c", "/abc", false}, {"/a*b*c", "/axbyc", true},
		{"*", "/", true}, {"*", "/a/b/c", true}, {"*", "/t-*", true}, {"*", "*", true},
	} {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			if got := Overlap(pair[0], pair[1]); got != tt.want {
				t.Errorf("Overlap(%q, %q) = %t", pair[0], pair[1], got)
			}
		}
	}
}

// The whole list counts: a name of its own, the first pattern that matches, and last of all
// the star that every name matches, wherever it stands.
func TestFindPattern(t *testing.T) {
	names := []string{"*", "/", "/t-*", "/*"}
	for namespace, want := range map[string]string{"/": "*", "/t-1": "/t-*", "/x": "/*", "/x/y": "*", "/t-1/x": "*"} {
		if got := FindPattern(names, namespace); got != want {
			t.Errorf("%s matches %q, want %q", namespace, got, want)
		}
		if got := FindPattern(names[1:], namespace); want == "*" && got != "" {
			t.Errorf("%s matches %q without the star", namespace, got)
		}
		if got, want := OnlyEvery(names, namespace), want == "*" && namespace != "/"; got != want {
			t.Errorf("the star alone has %s: %t, want %t", namespace, got, want)
		}
		if OnlyEvery(names[1:], namespace) {
			t.Errorf("the star alone has %s, and is not in the list", namespace)
		}
	}
}
