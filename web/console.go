package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// Console serves the files of the operators' console below prefix, which ends with a slash:
// index.html there itself. Who calls it sets the policy of the pages, and decides who may see
// what they ask for. Any other path is a 404.
func Console(prefix string) http.Handler { return bundled.consoleHandler(prefix) }

func (b bundle) consoleHandler(prefix string) http.Handler {
	if b.console == nil {
		return missing("the console", notBuilt)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuseMethod(w, r) {
			return
		}
		name := strings.TrimPrefix(r.URL.Path, prefix)
		if name == "" {
			name = "index.html"
		}
		file := b.console[name]
		if file == nil {
			http.NotFound(w, r)
			return
		}
		file.serve(w, r)
	})
}

// readFiles reads one folder of a bundle, whose page is index.html.
func readFiles(root fs.FS, folder string) (map[string]*asset, error) {
	entries, err := fs.ReadDir(root, folder)
	if err != nil {
		return nil, err
	}
	files := make(map[string]*asset)
	for _, e := range entries {
		contentType, ok := pageTypes[path.Ext(e.Name())]
		if !ok {
			continue // a compressed form; readAsset finds it
		}
		a, err := readAsset(root, folder+"/"+e.Name(), contentType, "")
		if err != nil {
			return nil, err
		}
		files[e.Name()] = a
	}
	if files["index.html"] == nil {
		return nil, errors.New("no index.html")
	}
	return files, nil
}

// readConsole reads console/ of a bundle. One that was made before there was a console has
// none: [fs.ErrNotExist].
func readConsole(root fs.FS) (map[string]*asset, error) {
	files, err := readFiles(root, "console")
	if err != nil {
		return nil, fmt.Errorf("the console: %w", err)
	}
	return files, nil
}

// pageTypes are the kinds of files that pages consist of.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}
