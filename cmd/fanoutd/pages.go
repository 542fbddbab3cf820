package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/web"
)

// pages is what browsers find: Socket.IO, the client, and the demo if it is on.
// Slashes too many in a path count as one and the last one of path may be
// missing: proxies and clients make such paths. No answer is a redirect, which
// would lead away from whatever prefix a proxy in front has stripped, and which
// no WebSocket follows.
//
// engine serves what is below path: sockets, or what stands in front of them.
func pages(c *config, engine http.Handler, sockets *sio.Server, controlAddress, version string) http.Handler {
	path := c.browsers.path
	client := web.Client(path)
	if !c.browsers.serveClient {
		client = web.ClientOff("the setting serve-client is off (--serve-client, FANOUTD_SERVE_CLIENT)")
	}
	client = sockets.CORS(client)
	files := map[string]bool{}
	for _, file := range web.ClientPaths(path) {
		files[file] = true
	}
	others := otherPages(c, sockets, controlAddress, version)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = withSingleSlashes(r)
		switch at := r.URL.Path; {
		case files[at]:
			client.ServeHTTP(w, r)
		case strings.HasPrefix(at, path), at == strings.TrimSuffix(path, "/"):
			engine.ServeHTTP(w, r)
		default:
			others.ServeHTTP(w, r)
		}
	})
}

// otherPages is what is found beside Socket.IO: the demo or nothing.
func otherPages(c *config, sockets *sio.Server, controlAddress, version string) http.Handler {
	if !c.browsers.demo {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, fmt.Sprintf("404: this is fanoutd, a Socket.IO server; clients connect at the path %s", c.browsers.path), http.StatusNotFound)
		})
	}
	return web.Demo(web.DemoOptions{
		Lookup: func(ctx context.Context, namespace, id string) (rooms []string, transport string, ok bool) {
			conn, err := sockets.Connection(ctx, namespace, id)
			return conn.Rooms, conn.Transport, err == nil
		},
		Control:    controlAddress,
		ControlKey: len(c.listeners.controlKeys) > 0,
		Version:    version,
		Path:       c.browsers.path,
	})
}

// withSingleSlashes returns r, or one like it whose path has no empty segments.
func withSingleSlashes(r *http.Request) *http.Request {
	if !strings.Contains(r.URL.Path, "//") {
		return r
	}
	single := make([]byte, 0, len(r.URL.Path))
	for i := range len(r.URL.Path) {
		if c := r.URL.Path[i]; c != '/' || i == 0 || r.URL.Path[i-1] != '/' {
			single = append(single, c)
		}
	}
	like, u := *r, *r.URL
	u.Path, u.RawPath = string(single), ""
	like.URL = &u
	return &like
}
