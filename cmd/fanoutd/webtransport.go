package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// webTransportConfig says where browsers find WebTransport, if anywhere.
type webTransportConfig struct {
	listen      address // its name is empty: nowhere
	certFile    string
	keyFile     string
	certificate tls.Certificate // what is in the files
}

// add adds the settings, each with its default in c.
func (c *webTransportConfig) add(s *settings) {
	s.add("webtransport-listen", "serve WebTransport too, at this UDP address: HOST:PORT or :PORT; clients look for it at the port they know, so mostly the one their https has",
		newScalar(&c.listen, "", "HOST:PORT or :PORT", func(raw string) (address, error) {
			if raw == "" {
				return address{}, nil
			}
			return parseAddress(raw, false)
		}))
	s.add("webtransport-cert-file", "a PEM file with its certificate, and those between it and the authority's; browsers take no other",
		stringValue(&c.certFile, ""))
	s.add("webtransport-key-file", "a PEM file with the certificate's key",
		stringValue(&c.keyFile, ""))
}

func (c *webTransportConfig) on() bool { return c.listen.name != "" }

// read refuses settings that make no sense together, and reads the files.
func (c *webTransportConfig) read(s *settings) error {
	listen, cert, key := s.get("webtransport-listen"), s.get("webtransport-cert-file"), s.get("webtransport-key-file")
	switch {
	case !c.on() && cert.isSet():
		return cert.errorf("webtransport-listen is not set: nothing needs it")
	case !c.on() && key.isSet():
		return key.errorf("webtransport-listen is not set: nothing needs it")
	case !c.on():
		return nil
	case c.certFile == "" || c.keyFile == "":
		return listen.errorf("WebTransport needs a certificate: set webtransport-cert-file and webtransport-key-file")
	}
	var err error
	if c.certificate, err = tls.LoadX509KeyPair(c.certFile, c.keyFile); err != nil {
		return cert.errorf("%v", err)
	}
	return nil
}

// webTransport is the door for WebTransport; nil: there is none.
type webTransport struct {
	packets net.PacketConn
	server  *engineio.WebTransport
	log     *slog.Logger
}

// listenWebTransport opens the door. Its errors name the setting.
func listenWebTransport(c *webTransportConfig, sockets *sio.Server, log *slog.Logger) (*webTransport, error) {
	if !c.on() {
		return nil, nil
	}
	packets, err := net.ListenPacket("udp", c.listen.name)
	if err != nil {
		return nil, fmt.Errorf("cannot listen as the setting webtransport-listen says: %w", err)
	}
	log.Info("serving", "who", "webtransport", "address", packets.LocalAddr().String())
	certificate := &tls.Config{Certificates: []tls.Certificate{c.certificate}, MinVersion: tls.VersionTLS13}
	return &webTransport{packets, sockets.WebTransport(path, certificate), log}, nil
}

// serve serves until close.
func (w *webTransport) serve() error {
	if w == nil {
		return nil
	}
	if err := w.server.Serve(w.packets); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving webtransport: %w", err)
	}
	return nil
}

// close ends what the shutdown of the sessions left.
func (w *webTransport) close() {
	if w == nil {
		return
	}
	if err := w.server.Close(); err != nil {
		w.log.Warn("closing webtransport", "error", err)
	}
	w.packets.Close()
}
