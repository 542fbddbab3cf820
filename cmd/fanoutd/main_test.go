package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCommands(t *testing.T) {
	environ := []string{"FANOUTD_CONTROL_KEY=s3cr3t"}
	tests := []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"version"}, exitOK, "fanoutd dev (commit ", ""},
		{[]string{"help"}, exitOK, "  emit ", ""},
		{[]string{"help"}, exitOK, "--path", ""},
		{[]string{"--help"}, exitOK, "  serve ", ""},
		{[]string{"help", "serve"}, exitOK, "--ping-interval", ""},
		{[]string{"--listen=:1", "--help"}, exitOK, "--control-listen", ""},
		{[]string{"help", "emit"}, exitOK, "room:NAME", ""},
		{[]string{"emit", "--help"}, exitOK, "--idempotency-key", ""},
		{[]string{"help", "token"}, exitOK, "--user", ""},
		{[]string{"healthcheck", "-h"}, exitOK, "--live", ""},
		{[]string{"config", "--help"}, exitOK, "config check", ""},
		{[]string{"emit"}, exitSettings, "", "fanoutd emit: "},
		{[]string{"emit", "all", "x", "--nothing"}, exitSettings, "", "unknown flag: --nothing"},
		{[]string{"serve", "-h"}, exitOK, "127.0.0.1:8081)", ""},
		{[]string{"sevre"}, exitSettings, "", `unknown command "sevre"`},
		{[]string{"serve", "--nothing"}, exitSettings, "", "--nothing"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tt.args, environ, &stdout, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("got %q and %q", stdout.String(), stderr.String())
			}
			if strings.Contains(stdout.String()+stderr.String(), "s3cr3t") {
				t.Error("shows the key")
			}
		})
	}
}
