package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/web"
)

// path is where the stock client looks for its server.
const path = "/socket.io/"

// pages is what browsers find: Socket.IO, the client, and the demo if it is on.
func pages(c *config, sockets *sio.Server, controlAddress, version string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(path, sockets)
	mux.Handle("/socket.io", http.NotFoundHandler()) // no redirect: 404, as in the reference
	client := web.Client(path)
	if !c.browsers.serveClient {
		client = web.ClientOff("the setting serve-client is off (--serve-client, FANOUTD_SERVE_CLIENT)")
	}
	for _, file := range web.ClientPaths(path) {
		mux.Handle(file, client)
	}
	if !c.browsers.demo {
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, fmt.Sprintf("404: this is fanoutd, a Socket.IO server; clients connect at %s", path), http.StatusNotFound)
		})
		return mux
	}
	mux.Handle("/", web.Demo(web.DemoOptions{
		Lookup: func(ctx context.Context, namespace, id string) (rooms []string, transport string, ok bool) {
			conn, err := sockets.Connection(ctx, namespace, id)
			return conn.Rooms, conn.Transport, err == nil
		},
		Control:    controlAddress,
		ControlKey: len(c.listeners.controlKeys) > 0,
		Version:    version,
	}))
	return mux
}
