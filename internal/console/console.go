package console

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// Path is where the console is.
const Path = "/console/"

// API serves calls of the control API for somebody who has been let in.
type API interface {
	ServeAs(w http.ResponseWriter, r *http.Request, caller identity.Principal)
}

// Refusals hears of those who were not let in.
type Refusals interface {
	Refused(ctx context.Context, method string, remote net.Addr, err error)
}

// Options of a console. But for Hosts, Logger and Node all are required.
type Options struct {
	// Files serves the pages, below Path.
	Files http.Handler

	// API serves the control API, and Metrics the metrics of this node.
	API     API
	Metrics http.Handler

	// History has what the metrics were.
	History *History

	// Callers says whose a key is.
	Callers *identity.Authenticator

	// Refusals hears of keys that are not valid.
	Refusals Refusals

	// Open says that nobody is asked for a key. It is for listeners on loopback.
	Open bool

	// Hosts are names, in lower case, by which the console may be called where nobody is
	// asked for a key, besides IP addresses and localhost.
	Hosts []string

	// Node, Version and Control, where the control API listens, are shown.
	Node, Version, Control string
	ControlTLS             bool // that listener has TLS

	// Logger hears of who signs in. Default: slog.Default().
	Logger *slog.Logger
}

// console is the handler of all of it.
type console struct {
	Options
	sessions sessions
	attempts chan struct{} // to sign in with wrong keys, whose answers wait
}

// New returns the handler of what is below [Path].
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &console{Options: o, attempts: make(chan struct{}, maxAttempts)}
	mux := http.NewServeMux()
	mux.Handle(Path, o.Files)
	mux.HandleFunc("GET "+Path+"session", c.showSession)
	mux.HandleFunc("POST "+Path+"session", c.signIn)
	mux.HandleFunc("DELETE "+Path+"session", c.signOut)
	mux.HandleFunc("GET "+Path+"api/metrics", c.serveMetrics)
	mux.HandleFunc("GET "+Path+"api/history", c.serveHistory)
	mux.HandleFunc(Path+"api/", c.serveAPI)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		if err := c.check(r); err != nil {
			c.Refusals.Refused(r.Context(), r.URL.Path, remote(r.RemoteAddr), err)
			writeError(w, http.StatusForbidden, "permission_denied", err.Error())
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Off is the handler in place of a console that is not served, for this reason.
func Off(why string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "404: the console is not served here: "+why, http.StatusNotFound)
	})
}

// serveAPI serves a call of the control API.
func (c *console) serveAPI(w http.ResponseWriter, r *http.Request) {
	caller, ok := c.callerOf(w, r)
	if !ok {
		return
	}
	method := strings.TrimPrefix(r.URL.Path, Path+"api")
	if caller.mode == View && r.Method == http.MethodPost && !views(method) {
		writeError(w, http.StatusForbidden, "permission_denied", "you have signed in to look only: sign in once more to act")
		return
	}
	defer c.sessions.begin(caller)()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(caller.lasts, cancel)()
	call := r.Clone(ctx)
	call.URL.Path, call.URL.RawPath = method, ""
	for _, name := range []string{"Authorization", "Cookie", "Origin"} { // they have been looked at
		call.Header.Del(name)
	}
	w.Header().Set("Cache-Control", "no-store")
	c.API.ServeAs(w, call, caller.Principal)
}

// serveMetrics serves the metrics of this node to who may see all connections.
func (c *console) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if !c.maySeeAll(w, r) {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	c.Metrics.ServeHTTP(w, r)
}

// maySeeAll reports whether who sent a request may see all connections, or answers that he
// may not.
func (c *console) maySeeAll(w http.ResponseWriter, r *http.Request) bool {
	caller, ok := c.callerOf(w, r)
	if !ok {
		return false
	}
	err := caller.Require(identity.Read)
	if err == nil && caller.Limited() {
		err = &identity.LimitError{Caller: caller.Name}
	}
	if err != nil {
		writeError(w, http.StatusForbidden, "permission_denied", err.Error())
		return false
	}
	return true
}

// callerOf returns who sent a request, or answers that nobody knows.
func (c *console) callerOf(w http.ResponseWriter, r *http.Request) (*session, bool) {
	if s, ok := c.sessions.of(r); ok {
		return s, true
	}
	var keys []string
	if hasKey(r) {
		keys = r.Header["Authorization"]
	}
	if len(keys) == 0 && !c.Open {
		writeError(w, http.StatusUnauthorized, "unauthenticated", "nobody is signed in, or not any more: sign in at "+Path)
		return nil, false
	}
	caller, err := c.Callers.Authenticate(keys, nil)
	if err != nil {
		c.Refusals.Refused(r.Context(), r.URL.Path, remote(r.RemoteAddr), err)
		writeError(w, http.StatusUnauthorized, "unauthenticated", err.Error())
		return nil, false
	}
	return &session{Principal: caller, mode: Act, lasts: context.Background()}, true
}

// views reports whether a method of the control API changes nothing.
func views(method string) bool {
	name := method[strings.LastIndexByte(method, '/')+1:]
	for _, verb := range []string{"List", "Get", "Count"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return name == "Watch" || name == "Tail"
}

// writeError answers as the control API does.
func writeError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]string{"code": code, "message": message})
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // a failure here is a browser that went away
}

// remote is where a request came from, for the log.
type remote string

func (remote) Network() string  { return "tcp" }
func (r remote) String() string { return string(r) }
