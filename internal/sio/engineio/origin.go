package engineio

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// Origins decides which web pages may connect. CORS protects neither
// WebSockets nor simple requests, so every transport asks it before anything
// else. The zero value allows same-origin pages and clients that are no
// browser (they send no Origin) only. It is safe for concurrent use.
type Origins struct {
	any   bool
	null  bool            // pages whose origin is "null"
	exact map[origin]bool // canonical
	below []origin        // https://*.example.com, whose host begins with the dot
}

// origin is the origin of a page: two of them are the same if they are equal.
type origin struct {
	scheme string // http and https stand for ws and wss too
	host   string // without a port; canonical for these schemes
	port   string // the default one too; empty for other schemes without one
}

// ParseOrigins reads a list as in [Options.Origins]. A scheme is required: a
// bare host would let its plain http pages in beside its https ones. Pages of
// apps and extensions have schemes of their own (capacitor://localhost,
// chrome-extension://…, file://), and null is the origin of those that have
// none; they are let in by these names alone, never by a wildcard.
func ParseOrigins(list []string) (Origins, error) {
	o := Origins{exact: map[origin]bool{}}
	for _, s := range list {
		switch s {
		case "*":
			o.any = true
			continue
		case "null":
			o.null = true
			continue
		}
		u, err := url.Parse(s)
		if err != nil || u.Path != "" || strings.ContainsAny(s, "?#") {
			return Origins{}, fmt.Errorf("%q is no origin: write scheme://host[:port] as in https://app.example.com, https://*.example.com, capacitor://localhost or file://, null for pages without an origin, or * for every page", s)
		}
		host, wild := strings.CutPrefix(s[len(u.Scheme):], "://*.")
		plain := s
		if wild {
			plain = u.Scheme + "://" + host
		}
		page, ok := parseOrigin(plain)
		switch {
		case !ok:
			return Origins{}, fmt.Errorf("%q is no origin: write scheme://host[:port] as in https://app.example.com", s)
		case strings.Contains(plain, "*"), wild && !page.web():
			return Origins{}, fmt.Errorf("%q is no origin: * may only stand for the first label of a web page's host, as in https://*.example.com", s)
		case wild:
			page.host = "." + page.host
			o.below = append(o.below, page)
		default:
			o.exact[page] = true
		}
	}
	return o, nil
}

// parseOrigin reads an origin. What stands behind the host does not count:
// browsers never send it, some clients do.
func parseOrigin(s string) (origin, bool) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || !isPort(u.Port()) || !strings.HasPrefix(s[len(u.Scheme):], "://") {
		return origin{}, false
	}
	o := origin{scheme: u.Scheme, host: u.Hostname(), port: u.Port()}
	switch u.Scheme { // url.Parse has put it in lower case
	case "ws":
		o.scheme = "http"
	case "wss":
		o.scheme = "https"
	}
	if !o.web() {
		o.host = strings.ToLower(o.host)
		return o, true
	}
	o.host = canonicalHost(o.host)
	if o.port = canonicalPort(o.port); o.port == "" {
		o.port = o.defaultPort()
	}
	return o, o.host != ""
}

// isPort reports whether this is a port, or none is named.
func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil || s == ""
}

// web reports whether the page was loaded by HTTP.
func (o origin) web() bool { return o.scheme == "http" || o.scheme == "https" }

func (o origin) defaultPort() string {
	if o.scheme == "https" {
		return "443"
	}
	return "80"
}

// canonicalHost is the one way to write a host's name or address that others
// are compared in: addresses in their short form, names in lower case, in
// Punycode (RFC 3492), and without the dot of the root.
func canonicalHost(host string) string {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for i := range len(host) {
		if host[i] >= 0x80 {
			if ascii, err := idna.Lookup.ToASCII(host); err == nil {
				return ascii
			}
			break
		}
	}
	return host
}

// canonicalPort drops leading zeros.
func canonicalPort(port string) string {
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		return strconv.FormatUint(n, 10)
	}
	return port
}

// splitHost splits the value of a header such as Host.
func splitHost(s string) (host, port string) {
	u := url.URL{Host: s}
	return canonicalHost(u.Hostname()), canonicalPort(u.Port())
}

// allows reports whether a request to s may come in, and whether its origin was
// let in by name, so that it may send credentials.
func (o *Origins) allows(r *http.Request, s site) (ok, named bool) {
	from := scriptOrigin(r)
	switch {
	case from == "":
		return true, false
	case from == "null": // sandboxed frames, and files
		return o.any || o.null, false
	}
	page, ok := parseOrigin(from)
	switch {
	case !ok:
		return o.any, false
	case o.exact[page], o.isBelow(page):
		return true, true
	}
	return s.served(page) || o.any, false
}

// isBelow reports whether a page's host has one label more than one that is
// listed with a wildcard.
func (o *Origins) isBelow(page origin) bool {
	for _, b := range o.below {
		label, ok := strings.CutSuffix(page.host, b.host)
		if ok && label != "" && !strings.Contains(label, ".") && page.scheme == b.scheme && page.port == b.port {
			return true
		}
	}
	return false
}

// site is where a request was sent to, as far as that is known.
type site struct {
	host  string // with its port, as browsers write it in Host
	https bool   // a trusted proxy said so, or it came by TLS; else nobody knows, as TLS may end anywhere in front
	told  bool   // a trusted proxy said which of them it is
}

// served reports whether the page is of this site. Without a port in Host it is
// the scheme's own; port 80 is also what a proxy writes that speaks plain HTTP to
// us, behind another where TLS ends.
func (s site) served(page origin) bool {
	if !page.web() || s.https && page.scheme != "https" {
		return false
	}
	host, port := splitHost(s.host)
	if host != page.host {
		return false
	}
	return port == page.port || page.port == page.defaultPort() && (port == "" || port == "80")
}

// scriptOrigin returns the origin of the page a request comes from. Browsers
// load scripts without the header Origin, from any page and with its visitor's
// cookies, so that for JSONP the Referer has to say it; a page that hides it is
// taken for a foreign one.
func scriptOrigin(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" || !isJSONP(r) {
		return origin
	}
	u, err := url.Parse(r.Header.Get("Referer"))
	if err != nil || u.Host == "" {
		return "null"
	}
	return u.Scheme + "://" + u.Host
}
