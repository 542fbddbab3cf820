package httpserver

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// guard keeps web pages out that nobody has let in. A browser that runs on the machine of
// a daemon, or in its network, reaches it, and so do the pages that it shows:
//
//   - by a request to the daemon's address, which tells their origin (Origin, and
//     Sec-Fetch-Site where a browser leaves that out);
//   - by having their own name lead to the daemon's address (DNS rebinding): then the
//     request is one of the same origin for the browser, but Host has the page's name.
type guard struct {
	open    bool
	hosts   []string
	origins []string
	refuse  func(http.ResponseWriter, *http.Request, error)
	next    http.Handler
}

// maxAge is for how many seconds browsers remember what a page may send: two hours, which
// is as long as Chromium does at most.
const maxAge = "7200"

// What pages may send, and see of answers, for each of the protocols.
const (
	pageHeaders   = "Accept, Authorization, Content-Type, Connect-Protocol-Version, Connect-Timeout-Ms, Grpc-Timeout, Traceparent, Tracestate, X-Grpc-Web, X-User-Agent"
	answerHeaders = "Grpc-Message, Grpc-Status, Grpc-Status-Details-Bin"
)

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Calls have deadlines of their own; for the rest there is nothing in a request's body,
	// which net/http reads all the same.
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Now().Add(openTimeout))
	c.SetWriteDeadline(time.Now().Add(messageTimeout))
	if err := g.check(r); err != nil {
		g.refuse(w, r, err)
		return
	}
	if len(g.origins) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", answerHeaders)
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.Header().Set("Access-Control-Allow-Headers", pageHeaders)
			w.Header().Set("Access-Control-Max-Age", maxAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	g.next.ServeHTTP(w, r)
}

// check returns why a request is not looked at; nil: it is.
func (g *guard) check(r *http.Request) error {
	if g.open || len(g.hosts) > 0 {
		if err := CheckHost(r, g.hosts); err != nil {
			return err
		}
	}
	if origins := r.Header["Origin"]; len(origins) > 0 {
		if len(origins) > 1 || !slices.Contains(g.origins, origins[0]) {
			return &identity.PageError{Origin: strings.Join(origins, ", ")}
		}
		return nil
	}
	// Without an origin a page can only have a document shown, which does nothing.
	site := r.Header.Get("Sec-Fetch-Site")
	if (site == "cross-site" || site == "same-site") && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &identity.PageError{}
	}
	return nil
}

// CheckHost returns nil if a request calls the server by a name of which a web page cannot
// have others for its own: with TLS or over a unix socket any, otherwise an IP address,
// localhost or one of hosts, which are in lower case. The error is a *[identity.PageError].
func CheckHost(r *http.Request, hosts []string) error {
	host := hostname(r.Host)
	name := strings.TrimSuffix(host, ".")
	switch {
	case r.TLS != nil, local(r), net.ParseIP(name) != nil, name == "localhost", strings.HasSuffix(name, ".localhost"), slices.Contains(hosts, name):
		return nil
	}
	return &identity.PageError{Host: cmp.Or(host, "(none)")}
}

// local reports whether a request came over a unix socket, where no browser is.
func local(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && at.Network() == "unix"
}

// hostname is the name in a Host header, in lower case.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	host, _, _ = strings.Cut(host, "%") // the zone of an IPv6 address
	return strings.ToLower(host)
}

// ParseOrigins returns origins as browsers send them: https://admin.example.com. There is
// no pattern, and null is none: whoever sends it is nobody.
func ParseOrigins(list []string) ([]string, error) {
	var all []string
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || strings.Contains(s, "*") {
			return nil, fmt.Errorf("%q is no origin: write each with its scheme, as in https://admin.example.com", s)
		}
		host := strings.ToLower(u.Host)
		if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; port != "" {
			host = strings.TrimSuffix(host, port)
		}
		all = append(all, u.Scheme+"://"+host)
	}
	return all, nil
}

// ParseHosts returns names of hosts, in lower case, which are no patterns and have no port.
func ParseHosts(list []string) ([]string, error) {
	var all []string
	for _, s := range list {
		if s == "" || strings.ContainsAny(s, ":/*@ \t") {
			return nil, fmt.Errorf("%q is no name of a host: write it without a port, as in fanoutd.internal", s)
		}
		all = append(all, strings.TrimSuffix(strings.ToLower(s), "."))
	}
	return all, nil
}
