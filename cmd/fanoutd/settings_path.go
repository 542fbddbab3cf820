package main

import (
	"strings"

	"github.com/fanoutd/fanoutd/internal/settings"
)

// defaultPath is where the stock client looks for its server.
const defaultPath = "/socket.io/"

// parsePath reads a path and returns it with its last slash.
func parsePath(raw string) (string, error) {
	inner, ok := strings.CutPrefix(strings.TrimSuffix(raw, "/"), "/")
	if !ok && raw != "/" {
		return "", settings.ErrNotAllowed
	}
	if raw == "/" {
		return raw, nil
	}
	for segment := range strings.SplitSeq(inner, "/") {
		if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, notUnreserved) {
			return "", settings.ErrNotAllowed
		}
	}
	return "/" + inner + "/", nil
}

// notUnreserved reports what a path would have to escape (RFC 3986, 2.3): proxies and
// clients do not agree on how.
func notUnreserved(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~", c)
}
