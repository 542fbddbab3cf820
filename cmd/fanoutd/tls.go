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
	watcher  *certfile.Watcher
	backends *certfile.Pair // nil: they connect in plain text
	clients  *certfile.Pool // of backends' certificates; nil: they are not asked for one
}

// openCertificates reads the files. Its errors name the setting.
func openCertificates(c *listenerConfig, log *slog.Logger) (*certificates, error) {
	o := &certificates{watcher: certfile.NewWatcher(log)}
	var err error
	if c.controlTLS.on() {
		if o.backends, err = o.watcher.Pair("backends", c.controlTLS.cert, c.controlTLS.key); err != nil {
			return nil, fmt.Errorf("the files of control-tls-cert-file and control-tls-key-file: %w", err)
		}
	}
	if c.controlClientCA != "" {
		if o.clients, err = o.watcher.Pool("backends", c.controlClientCA); err != nil {
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

// control is how backends connect; nil: in plain text. A certificate that a backend shows
// is verified; whether it needs one is not decided here.
func (c *certificates) control() *tls.Config {
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
