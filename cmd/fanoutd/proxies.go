package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"

	"github.com/fanoutd/fanoutd/internal/proxyprotocol"
	"github.com/fanoutd/fanoutd/internal/warning"
)

type secureKey struct{}

// connContext notes in the context of a connection's requests that its proxy says that the
// client came to it by TLS.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if proxied, ok := c.(*proxyprotocol.Conn); ok && proxied.Secure() {
		return context.WithValue(ctx, secureKey{}, true)
	}
	return ctx
}

// bySecure has requests with such a context look as if they had come by TLS to this daemon.
func bySecure(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil && r.Context().Value(secureKey{}) != nil {
			r.TLS = &tls.ConnectionState{} // that there was one is all that is known
		}
		h.ServeHTTP(w, r)
	})
}

// listenToProxies takes connections of trusted proxies that say whom they serve.
func (d *daemon) listenToProxies(l net.Listener) net.Listener {
	var untrusted, unreadable warning.Throttle
	return proxyprotocol.Listen(l, proxyprotocol.Options{
		Trusted: d.sockets.TrustsPeer,
		Timeout: headerTimeout,
		Refused: func(peer net.Addr, err error) {
			if errors.Is(err, proxyprotocol.ErrNotTrusted) {
				if n, ok := untrusted.Event(); ok {
					d.log.Warn("refused connections of others than proxies: with proxy-protocol, all have to come from addresses of trusted-proxies",
						"remote", peer.String(), "connections", n)
				}
				return
			}
			if n, ok := unreadable.Event(); ok {
				d.log.Warn("refused connections of a proxy that did not say whom it serves: have it send the PROXY protocol, or do not set proxy-protocol",
					"remote", peer.String(), "error", err, "connections", n)
			}
		},
	})
}
