package web

import (
	"fmt"
	"io/fs"
	"net/http"
	"strings"
)

// clientFiles are the names under which the reference serves its client
// (packages/socket.io/lib/index.ts, attachServe).
var clientFiles = []string{
	"socket.io.js",
	"socket.io.js.map",
	"socket.io.min.js",
	"socket.io.min.js.map",
	"socket.io.esm.min.js",
	"socket.io.esm.min.js.map",
	"socket.io.msgpack.min.js",
	"socket.io.msgpack.min.js.map",
}

// ClientPaths are the URL paths of the client's files under a prefix such as
// "/socket.io", for a mux to tell them from Engine.IO requests.
func ClientPaths(prefix string) []string {
	paths := make([]string, len(clientFiles))
	for i, name := range clientFiles {
		paths[i] = strings.TrimSuffix(prefix, "/") + "/" + name
	}
	return paths
}

// Client serves the stock client's files at ClientPaths(prefix), whatever the
// query, with the version as ETag and compressed for those who accept it. Any
// other path is a 404. A binary built without the files answers with ClientOff
// and says so.
//
// Headers are those of the reference but for: Vary, which it forgets;
// Content-Length in place of chunks; brotli before gzip where a browser likes
// both; the cache headers on a 304 too; 405 for what is neither GET nor HEAD;
// X-Content-Type-Options.
func Client(prefix string) http.Handler { return bundled.clientHandler(prefix) }

// ClientOff answers in Client's place and says why: reason completes the
// sentence "the Socket.IO client is not served here: …".
func ClientOff(reason string) http.Handler {
	return missing("the Socket.IO client", reason+
		". Pages can load socket.io-client 4.x from npm or any other place instead")
}

func (b bundle) clientHandler(prefix string) http.Handler {
	if b.clientVersion == "" {
		return ClientOff(notBuilt)
	}
	prefix = strings.TrimSuffix(prefix, "/") + "/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutPrefix(r.URL.Path, prefix)
		file := b.client[name]
		if !ok || file == nil {
			http.NotFound(w, r)
			return
		}
		if refuseMethod(w, r) {
			return
		}
		file.serve(w, r)
	})
}

// readClient reads client/ of a bundle; all eight files must be there.
func readClient(root fs.FS, version string) (map[string]*asset, error) {
	files := make(map[string]*asset, len(clientFiles))
	for _, name := range clientFiles {
		contentType := "application/javascript; charset=utf-8" // as the reference says it, RFC 9239 or not
		if strings.HasSuffix(name, ".map") {
			contentType = "application/json; charset=utf-8"
		}
		a, err := readAsset(root, "client/"+name, contentType, version)
		if err != nil {
			return nil, fmt.Errorf("the client: %w", err)
		}
		files[name] = a
	}
	return files, nil
}
