package main

import (
	"strings"
	"testing"
)

func TestBrowserSettings(t *testing.T) {
	c, err := load([]string{
		"--http-compression=false", "--per-message-deflate", "--allow-eio3", "--cookie=io", "--initial-headers=x-served-by: a, X-Other:b:c",
		"--trusted-proxies=10.0.0.0/8", "--max-sessions=7", "--max-pending=0",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, l := c.browsers, c.limits.sessions
	if b.httpCompression || !b.perMessageDeflate || !b.allowEIO3 || b.cookie != "io" || l.Sessions != 7 || l.Pending != -1 {
		t.Errorf("settings were read as %+v, %+v", b, l)
	}
	if got := b.headers.Get("X-Served-By") + "|" + b.headers.Get("X-Other"); got != "a|b:c" {
		t.Errorf("initial headers = %q", got)
	}
}

func TestBrowserRefusals(t *testing.T) {
	tests := []struct {
		name, arg string
		want      string // in the error, beside the setting's name
	}{
		{"cookie name", "--cookie=a b", "no name for a cookie"},
		{"header without a colon", "--initial-headers=nonsense", "no header"},
		{"header with a line end", "--initial-headers=X-A: b\r\nX-C: d", "no header"},
		{"header of the protocol", "--initial-headers=content-type: text/plain", "set by the protocol"},
		{"CORS header", "--initial-headers=Access-Control-Allow-Origin: *", "set by the protocol"},
		{"proxy by name", "--trusted-proxies=proxy.example.com", "neither an address"},
		{"negative limit", "--max-sessions=-1", "a number from 0"},
		{"limit in words", "--max-address-rate=many", "a number from 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, _, _ := strings.Cut(strings.TrimPrefix(tt.arg, "--"), "=")
			_, err := load([]string{tt.arg}, nil)
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want an error with %q", tt.arg, err, tt.want)
			}
		})
	}
}
