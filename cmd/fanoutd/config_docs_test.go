package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// docs/configuration.md is what the settings generate.
func TestConfigurationDocs(t *testing.T) {
	const path = "../../docs/configuration.md"
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want, stderr bytes.Buffer
	if code := run(t.Context(), []string{"config", "docs"}, nil, &want, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d, %s", code, &stderr)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is stale: run \"make generate-docs\" and commit the result", path)
	}
	for _, x := range newSettings(&config{}).All() {
		if n := strings.Count(want.String(), "\n### "+x.Name+"\n"); n != 1 {
			t.Errorf("%s is documented %d times", x.Name, n)
		}
	}
}

func TestConfigCommands(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"config"}, `unknown config command ""`},
		{[]string{"config", "doc"}, `unknown config command "doc"`},
		{[]string{"config", "docs", "--demo"}, "takes nothing"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), tt.args, nil, &stdout, &stderr)
		if code != exitSettings || stdout.Len() > 0 || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: exit code %d, %q, %q", tt.args, code, &stdout, &stderr)
		}
	}
}
