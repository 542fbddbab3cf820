package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
)

// DemoOptions is what the demo page is told about its daemon.
type DemoOptions struct {
	// Lookup finds one connection by the id its client sees; ok is false when
	// there is none. It is called about once a second for each open page, at
	// once by many, and must be given.
	Lookup func(ctx context.Context, namespace, id string) (rooms []string, transport string, ok bool)
	// Control is the address the control API listens on, for the grpcurl lines:
	// "host:port", ":port" or "unix:/path".
	Control string
	// ControlKey says that the control API wants a bearer key; the lines then
	// take it from the shell's FANOUTD_CONTROL_KEY. The key itself stays out.
	ControlKey bool
	// Version is the daemon's, to be shown.
	Version string
	// Path is where the page connects, and finds the client, with its last slash.
	// Neither "/" nor "/demo/", which are the page's own.
	Path string
}

// demoPolicy lets the page load from its own daemon only: no inline script, no
// inline style, no frame around it. 'self' covers WebSocket too (CSP level 3).
const demoPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Demo serves the demo page at "/", its files under "/demo/", and two answers
// for it: "/demo/config" about the daemon and "/demo/connection?id=" about the
// connection with that id, which a stock client cannot ask for itself. Any
// other path is a 404. The page expects the client's files below o.Path.
func Demo(o DemoOptions) http.Handler { return bundled.demoHandler(o) }

func (b bundle) demoHandler(o DemoOptions) http.Handler {
	if b.demo == nil {
		return missing("the demo page", notBuilt)
	}
	config := demoConfig{
		Control: dialable(o.Control),
		Key:     o.ControlKey,
		Version: o.Version,
		Client:  b.clientVersion,
		Path:    o.Path,
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", demoPolicy)
		h.Set("Referrer-Policy", "no-referrer")
		if refuseMethod(w, r) {
			return
		}
		switch r.URL.Path {
		case "/":
			b.demo["index.html"].serve(w, r)
		case "/demo/config":
			writeJSON(w, http.StatusOK, config)
		case "/demo/connection":
			serveConnection(w, r, o)
		default:
			file := b.demo[strings.TrimPrefix(r.URL.Path, "/demo/")]
			if file == nil || r.URL.Path == "/demo/index.html" {
				http.NotFound(w, r)
				return
			}
			file.serve(w, r)
		}
	})
}

// demoConfig is the answer of /demo/config.
type demoConfig struct {
	Control string `json:"control"`
	Key     bool   `json:"key"`
	Version string `json:"version"`
	Client  string `json:"client"`
	Path    string `json:"path"`
}

// demoConnection is the answer of /demo/connection.
type demoConnection struct {
	Rooms     []string `json:"rooms"`
	Transport string   `json:"transport"`
}

func serveConnection(w http.ResponseWriter, r *http.Request, o DemoOptions) {
	q := r.URL.Query()
	namespace := q.Get("namespace")
	if namespace == "" {
		namespace = "/"
	}
	rooms, transport, ok := o.Lookup(r.Context(), namespace, q.Get("id"))
	if !ok {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "no connection with that id"})
		return
	}
	if rooms == nil {
		rooms = []string{}
	}
	writeJSON(w, http.StatusOK, demoConnection{Rooms: rooms, Transport: transport})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a failure here is a browser that went away
}

// dialable turns an address to listen on into one that a program on the same
// machine can dial: every interface becomes localhost.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen // unix:/path, or nothing that could be improved
	}
	if ip := net.ParseIP(host); host == "" || host == "127.0.0.1" || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// readDemo reads demo/ of a bundle.
func readDemo(root fs.FS) (map[string]*asset, error) {
	files, err := readFiles(root, "demo")
	if err != nil {
		return nil, fmt.Errorf("the demo page: %w", err)
	}
	return files, nil
}
