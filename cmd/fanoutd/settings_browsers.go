package main

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/settings"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// browserConfig says which pages may connect, how, and what they are served.
type browserConfig struct {
	origins           engineio.Origins
	proxies           engineio.Proxies
	proxyProtocol     bool
	pingInterval      time.Duration
	pingTimeout       time.Duration
	httpCompression   bool
	perMessageDeflate bool
	allowEIO3         bool
	path              string // with its last slash
	transports        engineio.Transports
	cookie            engineio.Cookie
	headers           http.Header

	serveClient bool
	demo        bool
}

// declare adds the settings, each with its default in c.
func (c *browserConfig) declare(s *settings.Set) {
	s.Declare("Browsers",
		settings.Setting{
			Name: "origins", Reloadable: true,
			Help:  "web pages that may connect besides those of the same origin: https://app.example.com, https://*.example.com, or * for all of the web",
			Value: settings.List(&c.origins, nil, "origins such as https://app.example.com, https://*.example.com, capacitor://localhost, null or *", engineio.ParseOrigins),
		},
		settings.Setting{
			Name: "trusted-proxies", Reloadable: true,
			Help:  "the reverse proxies in front, which are believed when X-Forwarded-For, -Host and -Proto or Forwarded say whom a request comes from and where it was sent; unix stands for who connects where listen is a unix socket",
			Value: settings.List(&c.proxies, nil, "addresses such as 10.0.0.7, networks such as 10.0.0.0/8, and unix", engineio.ParseProxies),
		},
		settings.Setting{
			Name:  "proxy-protocol",
			Help:  "take at listen only connections of trusted-proxies that say by the PROXY protocol, version 1 or 2, whom they serve, before TLS if there is any; such a proxy's X-Forwarded-For and the like are not believed then, unless the address that it says is that of a trusted proxy",
			Value: settings.Bool(&c.proxyProtocol, false),
		},
		settings.Setting{
			Name: "ping-interval", Help: "how often each client is pinged",
			Value: settings.Duration(&c.pingInterval, engineio.DefaultPingInterval),
		},
		settings.Setting{
			Name: "ping-timeout", Help: "how long the answer to a ping may take",
			Value: settings.Duration(&c.pingTimeout, engineio.DefaultPingTimeout),
		},
		settings.Setting{
			Name: "http-compression", Help: "compress the answers of polls from 1024 bytes on",
			Value: settings.Bool(&c.httpCompression, true),
		},
		settings.Setting{
			Name: "per-message-deflate", Help: "compress WebSocket messages from 1024 bytes on, for clients that offer it",
			Value: settings.Bool(&c.perMessageDeflate, false),
		},
		settings.Setting{
			Name: "allow-eio3", Help: "let clients of Socket.IO v2 connect too (Engine.IO v3)",
			Value: settings.Bool(&c.allowEIO3, false),
		},
		settings.Setting{
			Name: "path", Help: "where browsers find the server and the client's files, with or without its last slash",
			Value: settings.Scalar(&c.path, defaultPath, "a path such as /socket.io/ of letters, digits, and - . _ ~ between its slashes", parsePath),
		},
		settings.Setting{
			Name: "transports", Help: "the transports that browsers may use; webtransport needs webtransport-listen too",
			Value: settings.List(&c.transports, []string{"polling", "websocket", "webtransport"}, "a list of polling, websocket and webtransport", engineio.ParseTransports),
		},
		settings.Setting{
			Name: "cookie", Help: "the name of a cookie with the session's id, for load balancers that keep requests together by one; empty: none",
			Value: settings.Scalar(&c.cookie.Name, "", "letters, digits, and - _ .", func(name string) (string, error) {
				return name, engineio.CheckCookieName(name)
			}),
		},
		settings.Setting{
			Name: "cookie-same-site", Help: "which pages' requests carry the cookie: none lets in those of other sites, over https",
			Value: settings.Choice(&c.cookie.SameSite, "lax", map[string]http.SameSite{"strict": http.SameSiteStrictMode, "lax": http.SameSiteLaxMode, "none": http.SameSiteNoneMode}),
		},
		settings.Setting{
			Name: "cookie-secure", Help: "keep the cookie to https; a name that begins with __Host- or __Secure- needs it",
			Value: settings.Bool(&c.cookie.Secure, false),
		},
		settings.Setting{
			Name: "cookie-path", Help: "where browsers send the cookie",
			Value: settings.Scalar(&c.cookie.Path, "/", "a path such as /", func(path string) (string, error) {
				return path, engineio.CheckCookiePath(path)
			}),
		},
		settings.Setting{
			Name: "cookie-max-age", Help: "how long browsers keep the cookie, in whole seconds; 0: until they end",
			Value: settings.OptionalDuration(&c.cookie.MaxAge, 0, time.Second),
		},
		settings.Setting{
			Name: "initial-headers", Help: "headers added to the answer that opens a session, each as Name: value",
			Value: settings.List(&c.headers, nil, "headers such as X-Served-By: a", parseHeaders),
		},
		settings.Setting{
			Name: "serve-client", Help: "serve the Socket.IO client under path, at /socket.io/socket.io.js by default",
			Value: settings.Bool(&c.serveClient, true),
		},
		settings.Setting{
			Name: "demo", Help: "serve a demo page at /",
			Value: settings.Bool(&c.demo, false),
		},
	)
}

// check refuses what makes no sense together.
func (c *browserConfig) check(s *settings.Set) error {
	switch demo := s.Get("demo"); {
	case c.demo && !c.serveClient:
		return demo.Errorf("the page loads the client that serve-client switches off")
	case c.demo && (c.path == "/" || c.path == "/demo/"):
		return demo.Errorf("the page is served at / and below /demo/, and path is %s", c.path)
	}
	if c.proxyProtocol && !s.Get("trusted-proxies").IsSet() {
		return s.Get("proxy-protocol").Errorf("nobody is trusted to speak it: set trusted-proxies to the addresses of the proxies")
	}
	for _, name := range []string{"cookie-same-site", "cookie-secure", "cookie-path", "cookie-max-age"} {
		if x := s.Get(name); x.IsSet() && c.cookie.Name == "" {
			return x.Errorf("cookie is not set: nothing needs it")
		}
	}
	if c.cookie.SameSite == http.SameSiteNoneMode && !c.cookie.Secure {
		return s.Get("cookie-same-site").Errorf("browsers drop such a cookie without cookie-secure")
	}
	secure, root := engineio.NeededByCookieName(c.cookie.Name)
	switch {
	case secure && !c.cookie.Secure:
		return s.Get("cookie").Errorf("browsers drop a cookie named %s without cookie-secure", c.cookie.Name)
	case root && c.cookie.Path != "/":
		return s.Get("cookie-path").Errorf("browsers drop a cookie named %s with another path than /", c.cookie.Name)
	}
	return nil
}

// options sets what the settings say.
func (c *browserConfig) options(o *engineio.Options) {
	o.PingInterval = c.pingInterval
	o.PingTimeout = c.pingTimeout
	o.Origins = c.origins
	o.Proxies = c.proxies
	o.NoHTTPCompression = !c.httpCompression
	o.PerMessageDeflate = c.perMessageDeflate
	o.AllowEIO3 = c.allowEIO3
	o.Cookie = c.cookie
	o.Transports = c.transports
	o.InitialHeaders = c.headers
}

// ownHeaders are the ones that say how an answer is to be read: not for
// a setting to change.
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
