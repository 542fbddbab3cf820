package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The reference has every declaration of the contract, in words, and each of its links leads
// somewhere.
func TestReference(t *testing.T) {
	raw, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	anchors := map[string]int{}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		anchors[strings.NewReplacer(".", "", "/", "", " ", "-").Replace(strings.ToLower(h[1]))]++
	}
	for _, a := range regexp.MustCompile(`<a id="([^"]*)">`).FindAllStringSubmatch(text, -1) {
		anchors[a[1]]++
	}
	for name, n := range anchors {
		if n > 1 {
			t.Errorf("#%s is there %d times", name, n)
		}
	}
	for _, link := range regexp.MustCompile(`\]\(#([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		if anchors[link[1]] == 0 {
			t.Errorf("#%s leads nowhere", link[1])
		}
	}
	for _, file := range []string{"v1/admin", "v1/block", "v1/emitter", "v1/event", "v1/registry", "v1/status", "v1/target", "hook/v1/authorizer"} {
		source, err := os.ReadFile("../../proto/fanout/" + file + ".proto")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []struct{ of, in string }{
			{`(?m)^service (\w+)`, `(?m)^## (hook\.)?NAME$`},
			{`(?m)^  rpc (\w+)`, `(?m)^### (hook\.)?\w+\.NAME$`},
			{`(?m)^ *(?:message|enum) (\w+)`, `(?m)^####? ([\w.]+\.)?NAME$`},
			{`(?m)^ *[\w.<>, ]+ (\w+) = \d+;`, "(?m)^- (<a id=\"[^\"]*\"></a>)?\\*\\*`NAME`\\*\\* \\(.*\\): \\S|^- \\*\\*`NAME`\\*\\*: \\S"},
		} {
			for _, name := range regexp.MustCompile(d.of).FindAllStringSubmatch(string(source), -1) {
				if !regexp.MustCompile(strings.ReplaceAll(d.in, "NAME", name[1])).MatchString(text) {
					t.Errorf("%s: %s is not there, or without a word", file, name[1])
				}
			}
		}
	}
}

// What comments name is led to, and what they show as markup is text.
func TestNames(t *testing.T) {
	for word, want := range map[string]int{"Emit": 1, "ListUsers": 2, "EventService": 2, "INVALID": 1, "args_json": 0, "GetServerInfo": 3} {
		if got := humps(word); got != want {
			t.Errorf("%s has %d, want %d", word, got, want)
		}
	}
	if got := marks.ReplaceAllString(`a_b _c "/tenant-*" x[0] <d>`, `\$0`); got != `a_b \_c "/tenant-\*" x\[0\] \<d>` {
		t.Errorf("got %s", got)
	}
}
