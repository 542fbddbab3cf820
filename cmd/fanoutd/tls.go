package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/fanoutd/fanoutd/internal/certfile"
)

// certificates are those of the listeners that have TLS, kept as they are in their files.
type certificates struct {
	watcher      *certfile.Watcher
	browsers     *certfile.Pair // nil: they connect in plain text
	webTransport *certfile.Pair // nil: it is not served
	backends     *certfile.Pair // nil: they connect in plain text
	clients      *certfile.Pool // of backends' certificates; nil: they are not asked for one
}

// openCertificates reads the files. Its errors name the setting.
func openCertificates(c *config, log *slog.Logger) (*certificates, error) {
	o := &certificates{watcher: certfile.NewWatcher(log)}
	var nodes *certfile.Pair // the cluster reads it by itself, for each connection
	for _, x := range []struct {
		to    **certfile.Pair
		who   string
		files keyPairFiles
		named string
	}{
		{&o.browsers, "browsers", c.listeners.browserTLS, "tls"},
		{&o.webTransport, "webtransport", c.listeners.webTransportTLS, "webtransport"},
		{&o.backends, "backends", c.listeners.controlTLS, "control-tls"},
		{&nodes, "nodes", keyPairFiles{c.cluster.tls.Cert, c.cluster.tls.Key}, "cluster-tls"},
	} {
		if !x.files.on() {
			continue
		}
		var err error
		if *x.to, err = o.watcher.Pair(x.who, x.files.cert, x.files.key); err != nil {
			return nil, fmt.Errorf("the files of %s-cert-file and %s-key-file: %w", x.named, x.named, err)
		}
	}
	if o.webTransport == nil {
		o.webTransport = o.browsers
	}
	if ca := c.listeners.controlClientCA; ca != "" {
		var err error
		if o.clients, err = o.watcher.Pool("backends", ca); err != nil {
			return nil, fmt.Errorf("the file of control-client-ca-file: %w", err)
		}
	}
	return o, nil
}

// watch reads the files again when they change, and at SIGHUP, until ctx ends.
func (c *certificates) watch(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	c.watcher.Run(ctx, hangups)
}

// forBrowsers is how browsers connect; nil: in plain text.
func (c *certificates) forBrowsers() *tls.Config {
	if c.browsers == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: c.browsers.GetCertificate}
}

// forWebTransport is the same for WebTransport, where it is served.
func (c *certificates) forWebTransport() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: c.webTransport.GetCertificate} // QUIC demands it
}

// forBackends is how backends connect; nil: in plain text. A certificate that a backend shows
// is verified; whether it needs one is not decided here.
func (c *certificates) forBackends() *tls.Config {
	if c.backends == nil {
		return nil
	}
	o := &tls.Config{
		MinVersion:     tls.VersionTLS12, // gRPC demands it
		NextProtos:     []string{"h2"},
		GetCertificate: c.backends.GetCertificate,
	}
	if c.clients == nil {
		return o
	}
	// A session that is resumed is verified by the authorities it began with, and backends
	// seldom connect.
	o.SessionTicketsDisabled = true
	o.ClientAuth = tls.VerifyClientCertIfGiven
	o.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		current := o.Clone()
		current.ClientCAs = c.clients.Authorities()
		return current, nil
	}
	return o
}
