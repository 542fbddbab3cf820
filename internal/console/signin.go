package console

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// Wrong keys are answered late, so many at once, and beyond that with an error, so that what
// they hold is bounded. A right one never waits: who guesses keeps nobody out.
const (
	maxAttempts  = 16
	attemptTime  = time.Second
	maxSignIn    = 4 << 10 // bytes: a key of any length that is set, and the mode
	retryAfterIt = "1"     // seconds
)

// state is what the console's pages are told of themselves.
type state struct {
	SignedIn bool   `json:"signedIn"`
	Open     bool   `json:"open"` // nobody is asked for a key
	Version  string `json:"version,omitempty"`
	Node     string `json:"node,omitempty"`

	Name       string           `json:"name,omitempty"` // of the key
	Mode       Mode             `json:"mode,omitempty"`
	Scopes     []identity.Scope `json:"scopes,omitempty"`
	Namespaces []string         `json:"namespaces,omitempty"` // that the key is limited to
	Rooms      []string         `json:"rooms,omitempty"`
	Control    string           `json:"control,omitempty"` // where the control API listens
	ControlTLS bool             `json:"controlTls,omitempty"`
}

// stateOf is the state for somebody; nil: nobody, who is told of no release.
func (c *console) stateOf(s *session) state {
	if s == nil {
		return state{}
	}
	now := state{
		SignedIn: true, Open: c.Open, Version: c.Version, Node: c.Node, Name: s.Name, Mode: s.mode,
		Control: c.Control, ControlTLS: c.ControlTLS,
	}
	for _, scope := range identity.Scopes() {
		if s.Has(scope) {
			now.Scopes = append(now.Scopes, scope)
		}
	}
	now.Namespaces, _ = s.Principal.Namespaces()
	now.Rooms, _ = s.Principal.Rooms()
	return now
}

// showSession tells who is signed in.
func (c *console) showSession(w http.ResponseWriter, r *http.Request) {
	s, ok := c.sessions.of(r)
	if !ok && c.Open {
		caller, err := c.Callers.Authenticate(nil, nil)
		if err != nil {
			writeError(w, http.StatusUnauthorized, "unauthenticated", err.Error())
			return
		}
		s = &session{Principal: caller, mode: Act}
	}
	writeJSON(w, http.StatusOK, c.stateOf(s))
}

// signIn begins a session for a key.
func (c *console) signIn(w http.ResponseWriter, r *http.Request) {
	if form, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); form != "application/json" {
		writeError(w, http.StatusUnsupportedMediaType, "invalid_argument", "the Content-Type must be application/json")
		return
	}
	var asked struct {
		Key  string `json:"key"`
		Mode Mode   `json:"mode"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSignIn)).Decode(&asked); err != nil || asked.Mode != View && asked.Mode != Act {
		writeError(w, http.StatusBadRequest, "invalid_argument", `the request must be {"key":"…","mode":"view"}, or "act"`)
		return
	}
	if c.Open {
		writeError(w, http.StatusBadRequest, "failed_precondition", "nobody is asked for a key here")
		return
	}
	caller, err := c.Callers.Authenticate([]string{"Bearer " + strings.TrimSpace(asked.Key)}, nil)
	if err != nil {
		c.Refusals.Refused(r.Context(), r.URL.Path, remote(r.RemoteAddr), err)
		c.refuseKey(w, r)
		return
	}
	c.sessions.remove(r)
	token := c.sessions.add(caller, asked.Mode)
	c.Logger.InfoContext(r.Context(), "signed in to the console", "caller", caller.Name, "mode", string(asked.Mode), "remote", r.RemoteAddr)
	http.SetCookie(w, cookie(r, token, int(sessionTime.Seconds())))
	writeJSON(w, http.StatusOK, c.stateOf(&session{Principal: caller, mode: asked.Mode}))
}

// refuseKey answers, late, that a key is not valid.
func (c *console) refuseKey(w http.ResponseWriter, r *http.Request) {
	select {
	case c.attempts <- struct{}{}:
		defer func() { <-c.attempts }()
	default:
		w.Header().Set("Retry-After", retryAfterIt)
		writeError(w, http.StatusTooManyRequests, "resource_exhausted", "the key is not valid, and too many such are tried: wait before the next")
		return
	}
	select {
	case <-time.After(attemptTime):
	case <-r.Context().Done():
	}
	writeError(w, http.StatusUnauthorized, "unauthenticated", "the key is not valid")
}

// signOut ends the session, with whatever it has under way.
func (c *console) signOut(w http.ResponseWriter, r *http.Request) {
	c.sessions.remove(r)
	http.SetCookie(w, cookie(r, "", -1))
	writeJSON(w, http.StatusOK, state{})
}

// cookie is one that no script reads and that no request of another site brings. A browser
// that came by TLS, also to a proxy in front, says so in Origin: then it is sent by TLS alone.
func cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(r), Value: value, Path: Path, MaxAge: age,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil || strings.HasPrefix(r.Header.Get("Origin"), "https://"),
	}
}
