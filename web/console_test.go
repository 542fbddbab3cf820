package web

import (
	"io"
	"testing"
)

func TestConsole(t *testing.T) {
	b, err := readBundle(builtFS())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, target string
		status         int
		body           string
	}{
		{"GET", "/console/", 200, "<!doctype html>console"},
		{"GET", "/console/console.js", 200, "program"},
		{"GET", "/console/none.js", 404, "404 page not found\n"},
		{"GET", "/console/../demo/main.js", 404, "404 page not found\n"},
		{"POST", "/console/", 405, "405: only GET and HEAD are answered here\n"},
	} {
		res := do(t, b.consoleHandler("/console/"), tt.method, tt.target, nil)
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != tt.status || string(body) != tt.body {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.target, res.StatusCode, body, tt.status, tt.body)
		}
	}
	if res := do(t, bundle{}.consoleHandler("/console/"), "GET", "/console/", nil); res.StatusCode != 404 {
		t.Errorf("without a build: %d", res.StatusCode)
	}
}
