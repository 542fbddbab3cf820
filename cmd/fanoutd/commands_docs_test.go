package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// docs/command-line-reference.md is what the commands declare: all of them, with all flags, whatever the
// environment.
func TestCommandsDocs(t *testing.T) {
	const path = "../../docs/command-line-reference.md"
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want, stderr bytes.Buffer
	environ := []string{"FANOUTD_ADDRESS=elsewhere:1", "FANOUTD_CONTROL_CA_FILE=some.pem", "FANOUTD_CONTROL_KEY=secret"}
	if code := run(t.Context(), []string{"commands"}, environ, &want, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is stale: run \"make generate-docs\" and commit the result", path)
	}
	if strings.Contains(want.String(), "\n    ") || strings.Contains(want.String(), "\n\n\n") {
		t.Error("something is indented as code is, or two blank lines follow each other")
	}
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if c.HasParent() {
			_, behind, found := strings.Cut(want.String(), "\n### "+c.CommandPath()+"\n")
			section, _, _ := strings.Cut(behind, "\n## ")
			section, _, _ = strings.Cut(section, "\n### ")
			if !found || strings.TrimSpace(section) == "" {
				t.Errorf("nothing is said about %s", c.CommandPath())
			}
			c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				if f.Name != "help" && !strings.Contains(section, "`--"+f.Name) {
					t.Errorf("%s has a flag --%s that is not listed", c.CommandPath(), f.Name)
				}
			})
		}
		for _, below := range c.Commands() {
			if c.Name() != "completion" {
				each(below)
			}
		}
	}
	each(newRoot(nil, io.Discard, io.Discard))
}

func TestMarkdownOfHelp(t *testing.T) {
	for text, want := range map[string]string{
		"One.\nTwo.\n": "One.\nTwo.",
		"\nSo:\n\n  room:NAME   the members\n  all         all\n": "So:\n\n- `room:NAME`: the members\n- `all`: all",
		"  emit a b  sends\n              much\n":                 "- `emit a b`: sends much",
	} {
		if got := markdown(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
