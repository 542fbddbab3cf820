package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/fanoutd/fanoutd/web"
)

// ask sends one request, follows no redirect, and returns the answer.
func (d *running) ask(t *testing.T, method, path string, headers ...string) (r *http.Response, body string) {
	t.Helper()
	// The path as it is: the net/url of a client would read //host in it.
	req, err := http.NewRequest(method, "http://"+d.at["browsers"], nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Path, req.URL.RawQuery, _ = strings.Cut(path, "?")
	req.URL.Opaque = "//" + d.at["browsers"] + req.URL.Path
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	c := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	r, err = c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(b)
}

func TestPages(t *testing.T) {
	d := start(t)
	off := start(t, "--serve-client=false")
	demo := start(t, "--demo")
	moved := start(t, "--path=/rt/socket.io")
	demoMoved := start(t, "--demo", "--path=/rt")
	const polling = "?EIO=4&transport=polling"
	bundle, configured := "Socket.IO v", `"path":"/rt/"`
	if web.ClientVersion() == "" {
		bundle, configured = "404: the Socket.IO client is not served here", "404: the demo page is not served here"
	}
	for _, tt := range []struct {
		name   string
		d      *running
		path   string
		status int // 0: of the bundle, if it was built
		body   string
	}{
		{"root without demo", d, "/", 404, "the path /socket.io/"},
		{"elsewhere", d, "/nothing", 404, "the path /socket.io/"},
		{"under a prefix", d, "/app/socket.io/" + polling, 404, "the path /socket.io/"},
		{"another name that begins alike", d, "/socket.iox/" + polling, 404, "the path /socket.io/"},
		{"engine", d, "/socket.io/?EIO=4&transport=none", 400, `{"code":0,`},
		{"engine, below", d, "/socket.io/x/y" + polling, 200, `0{"sid"`},
		{"without the last slash", d, "/socket.io" + polling, 200, `0{"sid"`},
		{"two slashes in front", d, "//socket.io/" + polling, 200, `0{"sid"`},
		{"two slashes in front, none behind", d, "//socket.io" + polling, 200, `0{"sid"`},
		{"two slashes behind", d, "/socket.io//" + polling, 200, `0{"sid"`},
		{"many slashes", d, "////socket.io///" + polling, 200, `0{"sid"`},
		{"an escaped letter", d, "/socket%2Eio/" + polling, 200, `0{"sid"`},
		{"path", moved, "/rt/socket.io/" + polling, 200, `"sid"`},
		{"path without its last slash", moved, "/rt/socket.io" + polling, 200, `"sid"`},
		{"path, doubled slashes", moved, "//rt//socket.io/" + polling, 200, `"sid"`},
		{"path, client", moved, "/rt/socket.io/socket.io.js", 0, bundle},
		{"path, elsewhere", moved, "/socket.io/" + polling, 404, "the path /rt/socket.io/"},
		{"path, client elsewhere", moved, "/socket.io/socket.io.js", 404, "the path /rt/socket.io/"},
		{"two slashes elsewhere", d, "//nothing//", 404, "the path /socket.io/"},
		{"dots are no way out", d, "/x/../socket.io/" + polling, 404, "the path /socket.io/"},
		{"the client", d, "/socket.io/socket.io.js", 0, bundle},
		{"the client, two slashes in front", d, "//socket.io/socket.io.js?v=1", 0, bundle},
		{"the client, two slashes between", d, "/socket.io//socket.io.js", 0, bundle},
		{"client off", off, "/socket.io/socket.io.js", 404, "serve-client"},
		{"engine still on", off, "/socket.io/" + polling, 200, `0{"sid"`},
		{"nobody with that id", demo, "/demo/connection?id=x", 404, ""},
		{"the demo is told the path", demoMoved, "/demo/config", 0, configured},
		{"engine at the demo's path", demoMoved, "/rt/" + polling, 200, `0{"sid"`},
		{"engine beside the demo", demo, "//socket.io/" + polling, 200, `0{"sid"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, body := tt.d.ask(t, "GET", tt.path)
			if tt.status != 0 && r.StatusCode != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("got %d %.200s", r.StatusCode, body)
			}
		})
	}
	for _, path := range []string{"/socket.io/", "/socket.io", "//socket.io/", "/socket.io//"} {
		conn, _, err := websocket.DefaultDialer.Dial("ws://"+d.at["browsers"]+path+"?EIO=4&transport=websocket", nil)
		if err != nil {
			t.Errorf("a WebSocket at %s: %v", path, err)
			continue
		}
		conn.Close()
	}
}

// The client's files and polls have the same headers for pages of other origins.
func TestClientForOtherOrigins(t *testing.T) {
	d := start(t, "--origins=https://app.example.com,capacitor://localhost")
	headers := []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers"}
	of := func(r *http.Response) (all string) {
		for _, name := range headers {
			all += fmt.Sprintln(name, r.Header.Get(name))
		}
		return all
	}
	for _, origin := range []string{"https://app.example.com", "capacitor://localhost"} {
		for _, method := range []string{"GET", "OPTIONS"} {
			ask := func(path string) *http.Response {
				r, _ := d.ask(t, method, path, "Origin", origin, "Access-Control-Request-Headers", "x-token")
				return r
			}
			poll := ask("/socket.io/?EIO=4&transport=polling")
			if got := poll.Header.Get(headers[0]); got != origin {
				t.Errorf("%s by %s: a poll has %q", method, origin, got)
			}
			for _, path := range append(web.ClientPaths(defaultPath), "//socket.io/socket.io.js") {
				r := ask(path)
				if got, want := of(r), of(poll); got != want || r.StatusCode/100 == 4 && web.ClientVersion() != "" {
					t.Errorf("%s %s by %s: got %d\n%s, want\n%s", method, path, origin, r.StatusCode, got, want)
				}
				if vary := r.Header.Values("Vary"); method == "GET" && web.ClientVersion() != "" && strings.Join(vary, ",") != "Origin,Accept-Encoding" {
					t.Errorf("%s: Vary %v", path, vary)
				}
			}
		}
	}
	r, _ := d.ask(t, "GET", "/socket.io/socket.io.js", "Origin", "https://evil.example")
	if got := r.Header.Get(headers[0]); got != "" {
		t.Errorf("a foreign page got %s", got)
	}
}
