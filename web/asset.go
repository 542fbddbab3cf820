package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

// asset is one file in memory with its compressed forms, immutable.
type asset struct {
	contentType  string
	cacheControl string
	etag         string            // quoted
	forms        map[string][]byte // by content coding; "" is the file as it is
}

// readAsset reads a file and the compressed forms that lie beside it. An empty
// etag is made from the content.
func readAsset(root fs.FS, name, contentType, etag string) (*asset, error) {
	plain, err := fs.ReadFile(root, name)
	if err != nil {
		return nil, err
	}
	if etag == "" {
		sum := sha256.Sum256(plain)
		etag = hex.EncodeToString(sum[:8]) // 64 bits tell the versions of one file apart
	}
	a := &asset{
		contentType:  contentType,
		cacheControl: "public, max-age=0",
		etag:         strconv.Quote(etag),
		forms:        map[string][]byte{"": plain},
	}
	for _, c := range codings {
		packed, err := fs.ReadFile(root, name+c.suffix)
		if err != nil {
			continue // build.mjs leaves out a form that is no smaller
		}
		a.forms[c.name] = packed
	}
	return a, nil
}

// serve answers a GET or HEAD. Range is ignored, as the reference does: the
// client's ETag is its version whatever the coding, so pieces of two codings
// could be taken for pieces of one file.
func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", a.cacheControl)
	h.Set("ETag", a.etag)
	h.Add("Vary", "Accept-Encoding") // beside what CORS varies by
	if matches(r.Header.Values("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	coding := negotiate(r.Header.Values("Accept-Encoding"), func(name string) bool { return a.forms[name] != nil })
	body := a.forms[coding]
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a failure here is a browser that went away
	}
}

// matches reports whether an If-None-Match header names the etag, by the weak
// comparison that RFC 9110, 13.1.2 asks for.
func matches(header []string, etag string) bool {
	for tag := range strings.SplitSeq(strings.Join(header, ","), ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

// missing is the 404 for a file that this daemon could serve but does not.
func missing(what, reason string) http.Handler {
	text := fmt.Sprintf("404: %s is not served here: %s.\n", what, reason)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(text))
	})
}
