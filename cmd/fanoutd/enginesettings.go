package main

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// engineConfig says what browsers are offered beyond the protocol's core, and
// how many of them.
type engineConfig struct {
	httpCompression   bool
	perMessageDeflate bool
	allowEIO3         bool
	cookie            string
	headers           http.Header
	proxies           engineio.Proxies
	limits            engineio.Limits
	webTransport      webTransportConfig
}

// add adds the settings, each with its default in c.
func (c *engineConfig) add(s *settings) {
	s.add("http-compression", "compress the answers of polls from 1024 bytes on",
		boolValue(&c.httpCompression, true))
	s.add("per-message-deflate", "compress WebSocket messages from 1024 bytes on, for clients that offer it",
		boolValue(&c.perMessageDeflate, false))
	s.add("allow-eio3", "let clients of Socket.IO v2 connect too (Engine.IO v3)",
		boolValue(&c.allowEIO3, false))
	s.add("cookie", "the name of a cookie with the session's id, for load balancers that keep requests together by one; empty: none",
		newScalar(&c.cookie, "", "letters, digits, and - _ .", func(name string) (string, error) {
			return name, engineio.CheckCookieName(name)
		}))
	s.add("initial-headers", "headers added to the answer that opens a session, each as Name: value",
		listValue(&c.headers, nil, "headers such as X-Served-By: a", parseHeaders))

	c.webTransport.add(s)

	s.add("trusted-proxies", "the reverse proxies in front, which are believed when X-Forwarded-For says whom a request comes from",
		listValue(&c.proxies, nil, "addresses such as 10.0.0.7 and networks such as 10.0.0.0/8", engineio.ParseProxies))
	s.add("max-sessions", "sessions in all; beyond it new ones are refused; 0: no limit",
		limitValue(&c.limits.Sessions, engineio.DefaultMaxSessions))
	s.add("max-pending", "sessions in all that joined no namespace yet; beyond it the oldest is closed; 0: no limit",
		limitValue(&c.limits.Pending, engineio.DefaultMaxPending))
	s.add("max-address-pending", "the same for one Internet address, an IPv6 /64 being one; beyond it new ones are refused; 0: no limit",
		limitValue(&c.limits.AddressPending, engineio.DefaultMaxAddressPending))
	s.add("max-address-rate", "handshakes of one Internet address a second, of which five seconds' worth may come at once; 0: no limit",
		limitValue(&c.limits.AddressRate, engineio.DefaultMaxAddressRate))
}

// options sets what the settings say.
func (c *engineConfig) options(o *engineio.Options) {
	o.NoHTTPCompression = !c.httpCompression
	o.PerMessageDeflate = c.perMessageDeflate
	o.WebTransport = c.webTransport.on()
	o.AllowEIO3 = c.allowEIO3
	o.Cookie = c.cookie
	o.InitialHeaders = c.headers
	o.Proxies = c.proxies
	o.Limits = c.limits
}

// limitValue is a number where 0 means that there is no limit, which the
// options write as -1.
func limitValue(to *int, first int) value {
	const most = 100_000_000
	want := fmt.Sprintf("a number from 0 to %d", most)
	return newScalar(to, strconv.Itoa(first), want, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		switch {
		case err != nil || n < 0 || n > most:
			return 0, errNotAllowed
		case n == 0:
			return -1, nil
		}
		return n, nil
	})
}

// ownHeaders are the ones that say how an answer is to be read: not for
// strangers to set.
var ownHeaders = []string{
	"Connection", "Content-", "Transfer-Encoding", "Upgrade", "Sec-Websocket-", "Access-Control-", "Trailer", "Cache-Control", "Vary",
}

// parseHeaders reads "Name: value" items.
func parseHeaders(items []string) (http.Header, error) {
	h := http.Header{}
	for _, item := range items {
		name, v, ok := strings.Cut(item, ":")
		name, v = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(v)
		if !ok || name == "" || strings.ContainsFunc(name, notToken) || strings.ContainsFunc(v, notPrintable) {
			return nil, fmt.Errorf("%q is no header", item)
		}
		for _, own := range ownHeaders {
			if strings.HasPrefix(name, own) {
				return nil, fmt.Errorf("%s is set by the protocol", name)
			}
		}
		h.Add(name, v)
	}
	return h, nil
}

// notToken reports what cannot stand in a header's name (RFC 9110, 5.6.2).
func notToken(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

func notPrintable(c rune) bool { return c < ' ' || c > '~' }
