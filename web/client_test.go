package web

import (
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// builtFS is what build.mjs writes, in small: every client file in three
// forms but the maps, which have the plain one only.
func builtFS() fstest.MapFS {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	fsys := fstest.MapFS{
		"manifest.json":      file(`{"client":"4.8.4"}`),
		"demo/index.html":    file("<!doctype html>page"),
		"demo/index.html.br": file("br of page"),
		"demo/main.js":       file("main"),
		"demo/demo.css":      file("css"),
		"demo/icon.svg":      file("svg"),
		"demo/notes.txt":     file("not a part of the page"),
		"console/index.html": file("<!doctype html>console"),
		"console/console.js": file("program"),
	}
	for _, name := range clientFiles {
		fsys["client/"+name] = file("plain " + name)
		if !strings.HasSuffix(name, ".map") {
			fsys["client/"+name+".br"] = file("br " + name)
			fsys["client/"+name+".gz"] = file("gz " + name)
		}
	}
	return fsys
}

func built(t *testing.T) bundle {
	t.Helper()
	b, err := readBundle(builtFS())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func do(t *testing.T, h http.Handler, method, target string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestClient(t *testing.T) {
	h := built(t).clientHandler("/socket.io")
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	for _, tt := range []struct {
		name, method, target string
		header               http.Header
		status               int
		body                 string
		want                 map[string]string // response headers; empty means absent
	}{
		{
			name: "plain", method: "GET", target: "/socket.io/socket.io.js", status: 200, body: "plain socket.io.js",
			want: map[string]string{
				"Content-Type": "application/javascript; charset=utf-8", "Cache-Control": "public, max-age=0",
				"Etag": `"4.8.4"`, "Vary": "Accept-Encoding", "Content-Encoding": "", "Content-Length": "18",
			},
		},
		{name: "the query is ignored", method: "GET", target: "/socket.io/socket.io.js?v=1&EIO=4", status: 200, body: "plain socket.io.js"},
		{
			name: "map", method: "GET", target: "/socket.io/socket.io.min.js.map", header: header("Accept-Encoding", "gzip, br"), status: 200,
			body: "plain socket.io.min.js.map",
			want: map[string]string{"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "", "Vary": "Accept-Encoding"},
		},
		{
			name: "brotli", method: "GET", target: "/socket.io/socket.io.esm.min.js", header: header("Accept-Encoding", "gzip, deflate, br, zstd"), status: 200,
			body: "br socket.io.esm.min.js", want: map[string]string{"Content-Encoding": "br", "Etag": `"4.8.4"`},
		},
		{
			name: "gzip", method: "GET", target: "/socket.io/socket.io.msgpack.min.js", header: header("Accept-Encoding", "gzip"), status: 200,
			body: "gz socket.io.msgpack.min.js", want: map[string]string{"Content-Encoding": "gzip"},
		},
		{
			name: "head", method: "HEAD", target: "/socket.io/socket.io.js", header: header("Accept-Encoding", "br"), status: 200,
			want: map[string]string{"Content-Length": "15", "Content-Encoding": "br"},
		},
		{
			name: "not modified", method: "GET", target: "/socket.io/socket.io.js", header: header("If-None-Match", `"4.8.4"`), status: 304,
			want: map[string]string{"Etag": `"4.8.4"`, "Cache-Control": "public, max-age=0", "Vary": "Accept-Encoding", "Content-Type": "", "Content-Length": ""},
		},
		{name: "weak tag", method: "GET", target: "/socket.io/socket.io.js", header: header("If-None-Match", `W/"4.8.4"`), status: 304},
		{name: "list of tags", method: "GET", target: "/socket.io/socket.io.js", header: header("If-None-Match", `"4.8.3", W/"4.8.4"`), status: 304},
		{name: "any tag", method: "HEAD", target: "/socket.io/socket.io.js", header: header("If-None-Match", `*`), status: 304},
		{name: "another version", method: "GET", target: "/socket.io/socket.io.js", header: header("If-None-Match", `"4.8.3"`), status: 200, body: "plain socket.io.js"},
		{name: "range is ignored", method: "GET", target: "/socket.io/socket.io.js", header: header("Range", "bytes=0-3"), status: 200, body: "plain socket.io.js"},
		{name: "post", method: "POST", target: "/socket.io/socket.io.js", status: 405, body: "405: only GET and HEAD are answered here\n", want: map[string]string{"Allow": "GET, HEAD"}},
		{name: "another file", method: "GET", target: "/socket.io/socket.io.foo.js", status: 404, body: "404 page not found\n"},
		{name: "a compressed form is no file", method: "GET", target: "/socket.io/socket.io.js.br", status: 404, body: "404 page not found\n"},
		{name: "another prefix", method: "GET", target: "/other/socket.io.js", status: 404, body: "404 page not found\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := do(t, h, tt.method, tt.target, tt.header)
			if res.StatusCode != tt.status {
				t.Errorf("status = %d, want %d", res.StatusCode, tt.status)
			}
			if got := body(t, res); got != tt.body {
				t.Errorf("body = %q, want %q", got, tt.body)
			}
			for name, want := range tt.want {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestClientOff(t *testing.T) {
	const path = "/socket.io/socket.io.js"
	for _, tt := range []struct {
		name string
		h    http.Handler
		want string
	}{
		{
			"switched off", ClientOff("the setting serve-client is off"),
			"404: the Socket.IO client is not served here: the setting serve-client is off. " +
				"Pages can load socket.io-client 4.x from npm or any other place instead.\n",
		},
		{
			"not built in", bundle{}.clientHandler("/socket.io/"),
			`404: the Socket.IO client is not served here: this binary was built without it. Build with "make build", ` +
				`or run "npm ci && node build.mjs" in web/ and then "go build" again. ` +
				"Pages can load socket.io-client 4.x from npm or any other place instead.\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := do(t, tt.h, "GET", path, nil)
			if res.StatusCode != 404 {
				t.Errorf("status = %d, want 404", res.StatusCode)
			}
			if got := res.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control = %q, want no-store", got)
			}
			if got := body(t, res); got != tt.want {
				t.Errorf("body = %q\nwant   %q", got, tt.want)
			}
		})
	}
}

func TestClientPaths(t *testing.T) {
	h := built(t).clientHandler("/socket.io/")
	for _, prefix := range []string{"/socket.io", "/socket.io/"} {
		paths := ClientPaths(prefix)
		if len(paths) != 8 || !slices.Contains(paths, "/socket.io/socket.io.msgpack.min.js.map") {
			t.Errorf("ClientPaths(%q) = %q", prefix, paths)
		}
		for _, path := range paths {
			if res := do(t, h, "GET", path, nil); res.StatusCode != 200 {
				t.Errorf("GET %s = %d, want 200", path, res.StatusCode)
			}
		}
	}
}

func TestReadBundle(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(fstest.MapFS)
		want   string // part of the error; empty: none
		built  bool
	}{
		{"complete", func(fstest.MapFS) {}, "", true},
		{"never built", func(fsys fstest.MapFS) { clear(fsys) }, "", false},
		{"bad manifest", func(fsys fstest.MapFS) { fsys["manifest.json"].Data = []byte("{") }, "manifest.json", false},
		{"manifest without a version", func(fsys fstest.MapFS) { fsys["manifest.json"].Data = []byte("{}") }, "names no client version", false},
		{"a client file is missing", func(fsys fstest.MapFS) { delete(fsys, "client/socket.io.min.js") }, "client/socket.io.min.js", false},
		{"no page", func(fsys fstest.MapFS) { delete(fsys, "demo/index.html") }, "the demo page: no index.html", false},
		{"made before there was a console", func(fsys fstest.MapFS) { delete(fsys, "console/index.html"); delete(fsys, "console/console.js") }, "", true},
		{"no page of the console", func(fsys fstest.MapFS) { delete(fsys, "console/index.html") }, "the console: no index.html", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fsys := builtFS()
			tt.change(fsys)
			b, err := readBundle(fsys)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("readBundle = %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("readBundle = %v, want an error with %q", err, tt.want)
			}
			if got := b.clientVersion != ""; got != tt.built {
				t.Errorf("built = %v, want %v", got, tt.built)
			}
		})
	}
}

// TestEmbedded checks what npm really built, when it did: that the compressed
// forms are forms of the file beside them.
func TestEmbedded(t *testing.T) {
	if ClientVersion() == "" {
		t.Skip(`web/dist is empty: run "npm ci && node build.mjs" in web/ to check the real files`)
	}
	h := Client("/socket.io")
	for _, path := range ClientPaths("/socket.io") {
		plain := body(t, do(t, h, "GET", path, nil))
		packed := do(t, h, "GET", path, http.Header{"Accept-Encoding": {"gzip"}})
		if got := packed.Header.Get("Content-Encoding"); got != "gzip" {
			t.Errorf("%s: Content-Encoding = %q, want gzip", path, got)
			continue
		}
		zr, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(zr)
		if err != nil {
			t.Fatal(err)
		}
		if string(unpacked) != plain {
			t.Errorf("%s: the gzip form differs from the file", path)
		}
		if got := do(t, h, "GET", path, http.Header{"Accept-Encoding": {"br"}}).Header.Get("Content-Encoding"); got != "br" {
			t.Errorf("%s: Content-Encoding = %q, want br", path, got)
		}
	}
}
