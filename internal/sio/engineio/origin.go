package engineio

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Origins decides which web pages may connect. CORS protects neither
// WebSockets nor simple requests, so every transport asks it before anything
// else. The zero value allows same-origin pages and clients that are no
// browser (they send no Origin) only. It is safe for concurrent use.
type Origins struct {
	any   bool
	exact map[string]bool
	below []originSuffix // https://*.example.com
}

type originSuffix struct{ scheme, suffix string } // "https://", ".example.com:8443"

// ParseOrigins reads a list as in [Options.Origins]. A scheme is required: a
// bare host would let its plain http pages in beside its https ones.
func ParseOrigins(list []string) (Origins, error) {
	o := Origins{exact: map[string]bool{}}
	for _, s := range list {
		if s == "*" {
			o.any = true
			continue
		}
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			return Origins{}, fmt.Errorf("%q is no origin: write scheme://host[:port] as in https://app.example.com, https://*.example.com, or * for every page", s)
		}
		host, wild := strings.CutPrefix(u.Host, "*.")
		if strings.Contains(host, "*") {
			return Origins{}, fmt.Errorf("%q is no origin: * may only stand for the first label, as in https://*.example.com", s)
		}
		if scheme := u.Scheme + "://"; wild {
			o.below = append(o.below, originSuffix{scheme, "." + canonicalHost(u.Scheme, host)})
		} else {
			o.exact[scheme+canonicalHost(u.Scheme, host)] = true
		}
	}
	return o, nil
}

// canonicalHost lowers the case and drops the scheme's default port.
func canonicalHost(scheme, host string) string {
	host = strings.ToLower(host)
	if h, port, err := net.SplitHostPort(host); err == nil && port == defaultPort(scheme) {
		if strings.Contains(h, ":") {
			return "[" + h + "]"
		}
		return h
	}
	return host
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// allows reports whether the request may come in, and whether its origin was
// let in by name (then it may send credentials) or is the same.
func (o *Origins) allows(r *http.Request) (ok, named bool) {
	origin := scriptOrigin(r)
	if origin == "" {
		return true, false
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" { // "null" among them: sandboxed frames and files
		return o.any, false
	}
	host := canonicalHost(u.Scheme, u.Host)
	full := u.Scheme + "://" + host
	if o.exact[full] {
		return true, true
	}
	for _, b := range o.below {
		if label, ok := strings.CutSuffix(strings.TrimPrefix(full, b.scheme), b.suffix); ok && strings.HasPrefix(full, b.scheme) && label != "" && !strings.Contains(label, ".") {
			return true, true
		}
	}
	// A proxy in front may speak https to the page and http to us, so only the
	// hosts are compared, each without its own default port.
	if host == canonicalHost(u.Scheme, r.Host) {
		return true, false
	}
	return o.any, false
}

// setCORS adds the answer's CORS headers for a request whose origin is allowed.
// Only origins let in by name may send credentials: "*" and credentials
// together would hand every page of the web its visitors' cookies.
func (o *Origins) setCORS(h http.Header, r *http.Request, named bool) {
	origin := r.Header.Get("Origin")
	switch {
	case origin == "":
		if len(o.exact)+len(o.below) > 0 {
			h.Add("Vary", "Origin")
		}
	case named:
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Add("Vary", "Origin")
	case o.any:
		h.Set("Access-Control-Allow-Origin", "*")
	}
}

// preflight answers an OPTIONS request of a page whose origin is allowed.
func (o *Origins) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	if want := r.Header.Get("Access-Control-Request-Headers"); want != "" {
		h.Set("Access-Control-Allow-Headers", want)
		h.Add("Vary", "Access-Control-Request-Headers")
	}
	w.WriteHeader(http.StatusNoContent)
}
