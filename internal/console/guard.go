package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/fanoutd/fanoutd/internal/control/httpserver"
	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// policy lets pages load from their own daemon only, and has the browser refuse text where
// markup or a program is meant; the one worker's address comes by the policy that is named.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; worker-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types fanoutd"

// header is what the console's own pages send: no page of another origin can without
// being asked about, which nothing here allows.
const header = "Fanoutd-Console"

var errNoHeader = errors.New("requests without authorization: Bearer <key> need the header " + header + ": 1")

// check returns why a request is not looked at; nil: it is. Cookies are sent to every port of a
// host and by its pages, and where no key is asked for, every page of the machine's browsers
// may try. So what does something, or shows something, has to come from the console's own
// pages, or bring a key.
func (c *console) check(r *http.Request) error {
	if c.Open {
		if err := httpserver.CheckHost(r, c.Hosts); err != nil {
			return err
		}
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if !strings.HasPrefix(r.URL.Path, Path+"api/") && r.URL.Path != Path+"session" {
		return nil // files, which are no secret
	}
	if site != "" && site != "same-origin" {
		return &identity.PageError{}
	}
	for _, origin := range r.Header["Origin"] {
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) || u.Host == "" {
			return &identity.PageError{Origin: origin}
		}
	}
	if r.Header.Get(header) == "" && (!hasKey(r) || r.URL.Path == Path+"session") {
		return errNoHeader
	}
	return nil
}

// hasKey reports whether a request brings a key. A password (Basic) is none: browsers send
// it by themselves, whichever page has them ask, and it may be a proxy's.
func hasKey(r *http.Request) bool {
	for _, v := range r.Header["Authorization"] {
		if scheme, _, _ := strings.Cut(v, " "); strings.EqualFold(scheme, "Bearer") {
			return true
		}
	}
	return false
}
