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
	if b.httpCompression || !b.perMessageDeflate || !b.allowEIO3 || b.cookie.Name != "io" || l.Sessions != 7 || l.Pending != -1 {
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
		{"cookie path", "--cookie-path=a;b", "no path for a cookie"},
		{"cookie's site", "--cookie-same-site=some", "lax, none, strict"},
		{"cookie's age", "--cookie-max-age=0.5s", "0, or a duration"},
		{"no cookie", "--cookie-secure", "cookie is not set"},
		{"unknown transport", "--transports=polling,smoke", "no transport"},
		{"no transport", "--transports=", "no transport"},
		{"path without its slash", "--path=socket.io", "a path such as"},
		{"path with an empty segment", "--path=/a//b", "a path such as"},
		{"path with dots", "--path=/a/../b", "a path such as"},
		{"path with a query", "--path=/a?b", "a path such as"},
		{"path that is escaped", "--path=/a%2Fb", "a path such as"},
		{"empty path", "--path=", "a path such as"},
		{"header without a colon", "--initial-headers=nonsense", "no header"},
		{"header with a line end", "--initial-headers=X-A: b\r\nX-C: d", "no header"},
		{"header of the protocol", "--initial-headers=content-type: text/plain", "set by the protocol"},
		{"CORS header", "--initial-headers=Access-Control-Allow-Origin: *", "set by the protocol"},
		{"proxy by name", "--trusted-proxies=proxy.example.com", "neither an address"},
		{"PROXY protocol of nobody", "--proxy-protocol", "set trusted-proxies"},
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

func TestPathSetting(t *testing.T) {
	for raw, want := range map[string]string{"/socket.io": "/socket.io/", "/socket.io/": "/socket.io/", "/rt/socket.io": "/rt/socket.io/", "/": "/", "/a-b_c.~1": "/a-b_c.~1/"} {
		c, err := load([]string{"--path=" + raw}, nil)
		if err != nil || c.browsers.path != want {
			t.Errorf("%s was read as %q, %v, want %q", raw, c.browsers.path, err, want)
		}
	}
}

func TestBrowserSettingsTogether(t *testing.T) {
	for args, want := range map[string]string{
		"--cookie=io --cookie-same-site=none":                   "cookie-secure",
		"--cookie=io --cookie-same-site=none --cookie-secure":   "",
		"--cookie=__Secure-io":                                  "cookie-secure",
		"--cookie=__host-io":                                    "cookie-secure",
		"--cookie=__Host-io --cookie-secure --cookie-path=/a":   "cookie-path",
		"--cookie=__Secure-io --cookie-secure --cookie-path=/a": "",
		"--cookie=__Host-io --cookie-secure":                    "",
		"--demo --path=/":                                       "path is /",
		"--demo --path=/demo":                                   "path is /demo/",
	} {
		_, err := load(strings.Fields(args), nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", args, err, want)
		}
	}
}
