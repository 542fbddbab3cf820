package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

func TestDemo(t *testing.T) {
	h := built(t).demoHandler(DemoOptions{
		Lookup: func(_ context.Context, namespace, id string) ([]string, string, bool) {
			switch namespace + " " + id {
			case "/ abc":
				return []string{"abc", "some room"}, "websocket", true
			case "/chat abc":
				return nil, "polling", true
			}
			return nil, "", false
		},
		Control: "127.0.0.1:8081",
		Version: "1.2.3",
		Path:    "/rt/",
	})
	for _, tt := range []struct {
		method, target string
		status         int
		contentType    string
		body           string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "<!doctype html>page"},
		{"HEAD", "/", 200, "text/html; charset=utf-8", ""},
		{"GET", "/?x=1", 200, "text/html; charset=utf-8", "<!doctype html>page"},
		{"GET", "/demo/main.js", 200, "text/javascript; charset=utf-8", "main"},
		{"GET", "/demo/demo.css", 200, "text/css; charset=utf-8", "css"},
		{"GET", "/demo/icon.svg", 200, "image/svg+xml", "svg"},
		{"GET", "/demo/config", 200, "application/json; charset=utf-8", `{"control":"localhost:8081","key":false,"version":"1.2.3","client":"4.8.4","path":"/rt/"}` + "\n"},
		{"GET", "/demo/connection?id=abc", 200, "application/json; charset=utf-8", `{"rooms":["abc","some room"],"transport":"websocket"}` + "\n"},
		{"GET", "/demo/connection?id=abc&namespace=/chat", 200, "application/json; charset=utf-8", `{"rooms":[],"transport":"polling"}` + "\n"},
		{"GET", "/demo/connection?id=gone", 404, "application/json; charset=utf-8", `{"error":"no connection with that id"}` + "\n"},
		{"GET", "/demo/connection", 404, "application/json; charset=utf-8", `{"error":"no connection with that id"}` + "\n"},
		{"GET", "/demo/notes.txt", 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"GET", "/demo/index.html", 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"GET", "/main.js", 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"GET", "/elsewhere", 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"POST", "/", 405, "text/plain; charset=utf-8", "405: only GET and HEAD are answered here\n"},
		{"DELETE", "/demo/connection?id=abc", 405, "text/plain; charset=utf-8", "405: only GET and HEAD are answered here\n"},
	} {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			res := do(t, h, tt.method, tt.target, nil)
			if res.StatusCode != tt.status {
				t.Errorf("status = %d, want %d", res.StatusCode, tt.status)
			}
			if got := res.Header.Get("Content-Type"); got != tt.contentType {
				t.Errorf("Content-Type = %q, want %q", got, tt.contentType)
			}
			if got := body(t, res); got != tt.body {
				t.Errorf("body = %q, want %q", got, tt.body)
			}
			policy := res.Header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(policy, "unsafe") {
				t.Errorf("Content-Security-Policy = %q", policy)
			}
			if got := res.Header.Get("X-Content-Type-Options"); got != "nosniff" {
				t.Errorf("X-Content-Type-Options = %q, want nosniff", got)
			}
		})
	}
}

func TestDemoCaching(t *testing.T) {
	h := built(t).demoHandler(DemoOptions{})
	first := do(t, h, "GET", "/", http.Header{"Accept-Encoding": {"br"}})
	if got := body(t, first); got != "br of page" {
		t.Errorf("body = %q, want the brotli form", got)
	}
	again := do(t, h, "GET", "/", http.Header{"If-None-Match": {first.Header.Get("Etag")}})
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("status = %d, want 304", again.StatusCode)
	}
	other := do(t, h, "GET", "/demo/main.js", nil)
	if first.Header.Get("Etag") == other.Header.Get("Etag") {
		t.Errorf("two files share the ETag %s", other.Header.Get("Etag"))
	}
}

func TestDemoNotBuilt(t *testing.T) {
	res := do(t, bundle{}.demoHandler(DemoOptions{}), "GET", "/", nil)
	if res.StatusCode != 404 {
		t.Errorf("status = %d, want 404", res.StatusCode)
	}
	if got := body(t, res); !strings.Contains(got, "the demo page is not served here: this binary was built without it") {
		t.Errorf("body = %q", got)
	}
}

func TestDialable(t *testing.T) {
	for listen, want := range map[string]string{
		":8081":               "localhost:8081",
		"0.0.0.0:8081":        "localhost:8081",
		"[::]:8081":           "localhost:8081",
		"127.0.0.1:9000":      "localhost:9000",
		"localhost:8081":      "localhost:8081",
		"127.0.0.2:8081":      "127.0.0.2:8081",
		"[::1]:8081":          "[::1]:8081",
		"10.1.2.3:8081":       "10.1.2.3:8081",
		"unix:/run/fano.sock": "unix:/run/fano.sock",
	} {
		if got := dialable(listen); got != want {
			t.Errorf("dialable(%q) = %q, want %q", listen, got, want)
		}
	}
}
