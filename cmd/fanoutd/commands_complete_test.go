package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// TestCompletion: a shell is offered what a command takes, and nothing else.
func TestCompletion(t *testing.T) {
	settings := []string{"--control-tls-cert-file="}
	for line, want := range map[string][]string{
		"serve --control-tls-c":          settings,
		"token --control-tls-c":          settings,
		"token --us":                     {"--user="},
		"healthcheck --control-tls-c":    settings,
		"healthcheck --live":             {"--live"},
		"healthcheck --timeo":            {"--timeout="},
		"config ":                        {"check", "print", "default", "docs"},
		"config ch":                      {"check"},
		"config check --control-tls-c":   settings,
		"config check --path=x --tls-k":  {"--tls-key-file="},
		"config print --control-tls-c":   settings,
		"config --control-tls-c":         nil,
		"config default --control-tls-c": nil,
		"config docs ":                   nil,
		"proto --":                       {"--out="},
		"proto --control-tls-c":          nil,
		"metrics --control-tls-c":        nil,
		"metrics ":                       nil,
		"errors --":                      nil,
		"commands --":                    nil,
		"version --control-tls-c":        nil,
		"version ":                       nil,
	} {
		t.Run(line, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), append([]string{"__complete"}, strings.Split(line, " ")...), nil, &out, &errs); code != exitOK {
				t.Fatalf("exit code %d: %s", code, &errs)
			}
			var got []string
			for word := range strings.Lines(out.String()) {
				word, _, _ = strings.Cut(strings.TrimSpace(word), "\t")
				if !strings.HasPrefix(word, ":") && word != "--help" {
					got = append(got, word)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("offered %q, want %q", got, want)
			}
		})
	}
}
