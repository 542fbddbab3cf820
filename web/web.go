// Package web holds what fanoutd serves to browsers besides Socket.IO itself:
// the stock client's files, the demo page and the operators' console. All are built by npm into dist/
// (see build.mjs) and embedded; without that build the package compiles all
// the same and its handlers say what is missing.
//
// It knows HTTP and files. It does not know sessions, namespaces and
// settings: its caller passes in what the page needs.
package web

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
)

//go:embed all:dist
var dist embed.FS

// bundled is what this binary was built with.
var bundled = mustRead(dist)

// bundle is the content of dist/, or nothing of it when npm never ran.
type bundle struct {
	clientVersion string // empty: not built
	client        map[string]*asset
	demo          map[string]*asset
	console       map[string]*asset
}

// notBuilt is the reason given for every file of a bundle that is not there.
const notBuilt = `this binary was built without it. Build with "make build", ` +
	`or run "npm ci && node build.mjs" in web/ and then "go build" again`

// ClientVersion is the version of the embedded socket.io-client, or empty if
// the binary was built without it.
func ClientVersion() string { return bundled.clientVersion }

// mustRead reads an embedded folder; failing there means that the binary is
// broken, which no caller could mend.
func mustRead(embedded embed.FS) bundle {
	root, err := fs.Sub(embedded, "dist")
	if err != nil {
		panic(err)
	}
	b, err := readBundle(root)
	if err != nil {
		panic(fmt.Sprintf("web: the embedded bundle: %v", err))
	}
	return b
}

// readBundle reads a folder that build.mjs wrote. The manifest is what
// build.mjs writes last: without it there is no bundle, and that is no error.
func readBundle(root fs.FS) (bundle, error) {
	raw, err := fs.ReadFile(root, "manifest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return bundle{}, nil
	}
	if err != nil {
		return bundle{}, err
	}
	var manifest struct {
		Client string `json:"client"`
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return bundle{}, fmt.Errorf("manifest.json: %w", err)
	}
	if manifest.Client == "" {
		return bundle{}, fmt.Errorf("manifest.json names no client version")
	}
	b := bundle{clientVersion: manifest.Client}
	if b.client, err = readClient(root, manifest.Client); err != nil {
		return bundle{}, err
	}
	if b.demo, err = readDemo(root); err != nil {
		return bundle{}, err
	}
	if b.console, err = readConsole(root); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return bundle{}, err
	}
	return b, nil
}

// refuseMethod answers a request that is neither GET nor HEAD and reports
// whether it did.
func refuseMethod(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return false
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "405: only GET and HEAD are answered here", http.StatusMethodNotAllowed)
	return true
}
