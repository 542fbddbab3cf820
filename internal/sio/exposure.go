package sio

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Exposure says what of a client's handshake is shown with a connection, to all
// who may look at connections, and kept for as long as it lasts. The zero Exposure
// shows [DefaultHeaders] and nothing else.
type Exposure struct {
	// Headers are the request headers, by name in lower case. "cookie" is none of
	// them. nil: DefaultHeaders; empty: none.
	Headers []string
	// Cookies are the names of cookies. They are shown as the header "cookie", as
	// the client wrote them; the others are left out of it.
	Cookies []string
	// Auth are the keys of what the client passes as auth with its CONNECT. AllAuth
	// shows all of it. What proves the client's claim to a connection that was cut
	// off is never shown.
	Auth    []string
	AllAuth bool
}

// DefaultHeaders returns the headers shown by default. None of them carries
// credentials, as Cookie and Authorization do.
func DefaultHeaders() []string {
	return []string{"accept-language", "origin", "referer", "user-agent", "x-forwarded-for", "x-real-ip", "x-request-id"}
}

// Bounds of what is kept of a handshake, in bytes, from before a session is let in.
// What an operator has to ask for by name is kept whole or not at all, since half a
// credential is none.
const (
	maxDefaultHeader = 512      // of a header that is shown by default; the rest is cut off
	maxHeader        = 8 << 10  // of any other, or of all cookies together
	maxAuth          = 64 << 10 // of auth
)

// recoveryKey is the key of auth with the client's secret for its recovery.
const recoveryKey = "pid"

func (e *Exposure) withDefaults() Exposure {
	with := *e
	if with.Headers == nil {
		with.Headers = DefaultHeaders()
	}
	return with
}

// headers returns the headers that are shown of a request.
func (e *Exposure) headers(h http.Header) []pair {
	// Counted first: what is kept should not be larger than it has to be.
	n := 0
	for _, name := range e.Headers {
		if h.Get(name) != "" {
			n++
		}
	}
	cookies := e.cookies(h)
	if cookies != "" {
		n++
	}
	shown := make([]pair, 0, n)
	defaults := DefaultHeaders()
	for _, name := range e.Headers {
		v := h.Get(name)
		if slices.Contains(defaults, name) {
			v = v[:min(len(v), maxDefaultHeader)]
		}
		if v != "" && len(v) <= maxHeader {
			shown = append(shown, pair{name, strings.Clone(v)})
		}
	}
	if cookies != "" {
		shown = append(shown, pair{"cookie", cookies})
	}
	return shown
}

// cookies returns those of the cookies that are shown.
func (e *Exposure) cookies(h http.Header) string {
	if len(e.Cookies) == 0 {
		return ""
	}
	var shown []string
	for _, line := range h["Cookie"] {
		for cookie := range strings.SplitSeq(line, ";") {
			cookie = strings.TrimSpace(cookie)
			if name, _, ok := strings.Cut(cookie, "="); ok && slices.Contains(e.Cookies, strings.TrimSpace(name)) {
				shown = append(shown, cookie)
			}
		}
	}
	if all := strings.Join(shown, "; "); len(all) <= maxHeader {
		return all
	}
	return ""
}

// auth returns what is shown of the JSON object that a client passed as auth, nil
// if nothing is.
func (e *Exposure) auth(text []byte) string {
	if !e.AllAuth && len(e.Auth) == 0 || len(text) == 0 || len(text) > maxAuth {
		return ""
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(text, &all) != nil {
		return ""
	}
	shown := map[string]json.RawMessage{}
	for key, value := range all {
		if key != recoveryKey && (e.AllAuth || slices.Contains(e.Auth, key)) {
			shown[key] = value
		}
	}
	if len(shown) == 0 {
		return ""
	}
	text, err := json.Marshal(shown)
	if err != nil {
		return "" // no value of a JSON object can fail
	}
	return string(text)
}
