package main

import (
	"errors"
	"net"

	"github.com/fanoutd/fanoutd/internal/proxyprotocol"
	"github.com/fanoutd/fanoutd/internal/warning"
)

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
