package sio

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// handshake is what is kept of the request that opened a session: copies of
// the little that is asked for later, never the request itself.
type handshake struct {
	remoteAddr  string
	issuedAt    int64                 // when it came, ns since 1970: a third of a time.Time
	headers     []pair                // those that are shown
	path        unique.Handle[string] // nearly all have the same
	rawQuery    string                // without the sid and the secrets
	credentials *credentials          // nil: none that are kept
}

// credentials are secrets for the Backend's eyes, kept because a namespace may be joined at
// any later time.
type credentials struct {
	authorization string // that header's value
	query         []pair // the parameters that are secrets
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

// maxURL bounds, in bytes, what is shown of the path and query as they were sent.
const maxURL = 2 << 10

// maxAuthorization bounds the Authorization header that is kept, in bytes; a
// longer one is as good as none.
const maxAuthorization = 8 << 10

func newHandshake(r *http.Request, secrets []string, show *Exposure) handshake {
	h := handshake{remoteAddr: r.RemoteAddr, issuedAt: time.Now().UnixNano(), headers: show.headers(r.Header)}
	var c credentials
	if v := r.Header.Get("Authorization"); len(v) <= maxAuthorization {
		c.authorization = strings.Clone(v)
	}
	target := r.RequestURI
	if !strings.HasPrefix(target, "/") { // an absolute URL, or a request that was not read from a peer
		target = r.URL.RequestURI()
	}
	path, query, _ := strings.Cut(target, "?")
	h.path = unique.Make(path)
	h.rawQuery = strings.Clone(engineio.WithoutParameters(query, append([]string{"sid"}, secrets...)...))
	if len(secrets) > 0 {
		for name, value := range engineio.QueryParameters(r.URL.RawQuery) {
			if slices.Contains(secrets, name) { // the last one wins, as in query
				c.query = slices.DeleteFunc(c.query, func(p pair) bool { return p.name == name })
				c.query = append(c.query, pair{strings.Clone(name), strings.Clone(value)})
			}
		}
	}
	if c.authorization != "" || len(c.query) > 0 {
		kept := c // so that the others need no memory
		h.credentials = &kept
	}
	return h
}

// query returns the parameters that are no secrets: flat, and the last one wins, as
// in the reference.
func (h *handshake) query() map[string]string {
	var m map[string]string
	for name, value := range engineio.QueryParameters(h.rawQuery) {
		if m == nil {
			m = map[string]string{}
		}
		m[name] = value
	}
	return m
}

// url returns the path and query as they were sent, without what is a secret.
func (h *handshake) url() string {
	u := h.path.Value()
	if h.rawQuery != "" {
		u += "?" + h.rawQuery
	}
	return valid(u[:min(len(u), maxURL)])
}
