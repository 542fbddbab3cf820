package sio

import (
	"net/http"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// handshake is what is kept of the request that opened a session: copies of
// the little that is asked for later, never the request itself.
type handshake struct {
	remoteAddr string
	// authorization is that header's value: a secret for the Backend's eyes, kept
	// because a namespace may be joined at any later time.
	authorization string
	headers       []pair // those that are shown
	query         []pair // the protocol's own parameters too, but for sid; without the secrets
	secrets       []pair // of the query
	url           string // path and query, without the sid and the secrets
}

// pair is a name and its value. A connection has few of them, so a list costs
// far less than a map.
type pair struct{ name, value string }

// asMap returns the pairs for those who look at a connection.
func asMap(pairs []pair) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	m := make(map[string]string, len(pairs))
	for _, p := range pairs {
		m[valid(p.name)] = valid(p.value)
	}
	return m
}

// valid is s as text: HTTP lets headers hold any bytes.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// maxURL bounds, in bytes, the path and query that are kept.
const maxURL = 2 << 10

// maxAuthorization bounds the Authorization header that is kept, in bytes; a
// longer one is as good as none.
const maxAuthorization = 8 << 10

func newHandshake(r *http.Request, secrets []string, show *Exposure) *handshake {
	h := &handshake{remoteAddr: r.RemoteAddr, headers: show.headers(r.Header)}
	if v := r.Header.Get("Authorization"); len(v) <= maxAuthorization {
		h.authorization = strings.Clone(v)
	}
	query := make(map[string]string, 8) // small enough for the stack
	for name, value := range engineio.QueryParameters(r.URL.RawQuery) {
		query[name] = value // flat, and the last one wins, as in the reference
	}
	delete(query, "sid") // a secret, where it says anything
	h.query = make([]pair, 0, len(query))
	for name, value := range query {
		p := pair{kept(name), kept(value)}
		if slices.Contains(secrets, name) {
			h.secrets = append(h.secrets, p)
		} else {
			h.query = append(h.query, p)
		}
	}
	h.url = shownURL(r, secrets)
	return h
}

// shownURL returns the path and query of a request as they were sent, without what
// is a secret.
func shownURL(r *http.Request, secrets []string) string {
	target := r.RequestURI
	if !strings.HasPrefix(target, "/") { // an absolute URL, or a request that was not read from a peer
		target = r.URL.RequestURI()
	}
	path, query, has := strings.Cut(target, "?")
	if has {
		path += "?" + engineio.WithoutParameters(query, append([]string{"sid"}, secrets...)...)
	}
	return strings.Clone(path[:min(len(path), maxURL)])
}

// kept is s in memory of its own: the request's is not to be kept for it. What
// nearly every handshake says is shared.
func kept(s string) string {
	switch s {
	case "EIO":
		return "EIO"
	case "4":
		return "4"
	case "transport":
		return "transport"
	case "polling":
		return "polling"
	case "websocket":
		return "websocket"
	}
	return strings.Clone(s)
}
