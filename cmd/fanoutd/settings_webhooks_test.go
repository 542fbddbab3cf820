package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const goodSecret = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// The one webhook of settings, and those of a file.
func TestWebhooks(t *testing.T) {
	secrets, headers := writeFile(t, goodSecret+"\nwhsec_"+goodSecret+"\n"), writeFile(t, "Authorization: Bearer x\n\nx-a: 1\nX-A: 2\n")
	file := writeFile(t, "- url: https://a.example/x?k=1\n  group: a\n  namespaces: [/, /tenant-*]\n  events: [order]\n  lifecycle: true\n  authorize: true\n  secret-file: "+secrets+
		"\n  max-in-flight: 3\n  timeout: 1m\n  headers-file: "+headers+"\n- {url: http://b, group: b}\n")
	c, err := load([]string{"--webhook-url=http://localhost:8000", "--webhook-events=x,y", "--namespaces=/,/tenant-*", "--webhooks-file=" + file}, []string{"FANOUTD_WEBHOOK_GROUP=chat"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range c.webhooks.endpoints {
		got = append(got, fmt.Sprint(e.URL, " ", e.Group, e.Namespaces, e.Events, e.Lifecycle, e.Authorize, e.MaxInFlight, e.Timeout, len(e.Secrets), e.Header))
	}
	want := []string{
		"http://localhost:8000 chat[] [x y] false false 16 10s 0 map[]",
		"https://a.example/x?k=1 a[/ /tenant-*] [order] true true 3 1m0s 2 map[Authorization:[Bearer x] X-A:[1 2]]",
		"http://b b[] [] false false 0 0s 0 map[]",
	}
	for i := range want {
		if i >= len(got) || strings.Join(strings.Fields(got[i]), " ") != strings.Join(strings.Fields(want[i]), " ") {
			t.Errorf("got %q, want %q", got, want)
			break
		}
	}
	unsigned, plain := c.webhooks.open()
	if got := fmt.Sprint(unsigned, plain); got != "[b] [b]" {
		t.Errorf("to be warned of: %s, want b alone", got)
	}
}

func TestWebhookProblems(t *testing.T) {
	const url = "--webhook-url=http://h"
	for _, tt := range []struct {
		name string
		args []string
		file string // of webhooks-file; empty: none
		err  string
	}{
		{"no URL", []string{"--webhook-group=x"}, "", "no webhook-url is set"},
		{"another scheme", []string{"--webhook-url=ftp://h"}, "", "http or https"},
		{"a relative URL", []string{"--webhook-url=/x"}, "", "absolute"},
		{"a fragment", []string{url + "#x"}, "", "fragment"},
		{"an empty group", []string{url, "--webhook-group="}, "", "group"},
		{"a short secret", []string{url, "--webhook-secret-file=" + writeFile(t, "c2VjcmV0")}, "", "must have 24 to 64"},
		{"no base64", []string{url, "--webhook-secret-file=" + writeFile(t, "a secret!")}, "", "no base64 in line 1"},
		{"three secrets", []string{url, "--webhook-secret-file=" + writeFile(t, strings.Repeat(goodSecret+"\n", 3))}, "", "one or two"},
		{"no secret", []string{url, "--webhook-secret-file=" + writeFile(t, "\n")}, "", "0 secrets"},
		{"a bad header", []string{url, "--webhook-headers-file=" + writeFile(t, "a b: c")}, "", "no header in line 1"},
		{"a CA of nobody", []string{url, "--webhook-ca-file=" + writeFile(t, "x")}, "", "https only"},
		{"no certificate", []string{"--webhook-url=https://h", "--webhook-ca-file=" + writeFile(t, "x")}, "", "no certificate"},
		{"a missing file", []string{url, "--webhook-secret-file=/nowhere"}, "", "/nowhere"},
		{"no port", []string{"--webhook-url=http://h:80800"}, "", "80800, is none"},
		{"an unknown key", nil, "- {url: http://h, group: g, evnts: [x]}", `line 1: unknown key "evnts": there are url, group,`},
		{"no list", nil, "url: http://h", `line 1: is not what belongs there: write a list of entries that begin with "- url: URL"`},
		{"no entry", nil, "- http://h", `line 1: http://h is not what belongs there: write entries that begin with "- url: URL"`},
		{"no duration", nil, "- url: http://h\n  group: g\n  timeout: 5", "line 3: 5 is not what belongs there: write a duration such as 10s"},
		{"two mistakes", nil, "- url: http://h\n  lifecycle: maybe\n  namespaces: {a: b}", "line 2: maybe is not what belongs there: write true or false; line 3: is not what belongs there: write a list such as [a, b]"},
		{"no number", nil, "- {url: http://h, group: g, max-in-flight: many}", "write a number"},
		{"a key twice", nil, "- {url: http://h, url: http://i}", `mapping key "url" already defined`},
		{"nothing", nil, "# nothing\n", "holds no webhook"},
		{"no group", nil, "- {url: http://h}", "its group"},
		{"too many", nil, "- {url: http://h, group: g, max-in-flight: 1001}", "max-in-flight"},
		{"too long", nil, "- {url: http://h, group: g, timeout: 1h}", "timeout"},
		{"a namespace that is not served", nil, "- {url: http://h, group: g, namespaces: [/, chat]}", "no namespace /chat is served"},
		{"a namespace of the settings", []string{url, "--webhook-namespaces=/t-*", "--namespaces=/,/other-*"}, "", "no namespace /t-* is served"},
		{"no namespace", nil, "- {url: http://h, group: g, namespaces: ['/a?b']}", "is no namespace"},
		{"a long namespace", []string{url, "--namespaces=/a-*", "--webhook-namespaces=/a-" + strings.Repeat("x", 256)}, "", "1 to 256 bytes"},
		{"a reserved event", []string{url, "--webhook-events=disconnect"}, "", "no event of a browser"},
		{"a nameless event", nil, "- {url: http://h, group: g, events: [x, '']}", "1 to 1024 bytes"},
		{"one twice", nil, "- {url: http://h, group: g}\n- {url: http://h, group: g}", "the same URL"},
	} {
		args := tt.args
		if tt.file != "" {
			args = append(args, "--webhooks-file="+writeFile(t, tt.file))
		}
		if _, err := load(args, nil); err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.err)
		}
	}
}

// The example of the guide is one.
func TestWebhookGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	all, err := parseWebhooks([]byte(example))
	if err != nil || len(all) != 1 || all[0].Timeout != 10*time.Second || all[0].CAFile == "" {
		t.Errorf("it is read as %+v, %v", all, err)
	}
}

// writeAt writes a file of this name into a directory.
func writeAt(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
