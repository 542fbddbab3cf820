package main

import (
	"github.com/fanoutd/fanoutd/internal/certfile"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// keyPairFiles names the PEM files of a certificate and its key.
type keyPairFiles struct{ cert, key string }

// on reports whether both are named, which check has seen to.
func (f keyPairFiles) on() bool { return f.cert != "" && f.key != "" }

// declareTLS adds the settings, each with its default in c.
func (c *listenerConfig) declareTLS(s *settings.Set) {
	s.Declare("Listeners",
		settings.Setting{
			Name: "tls-cert-file", Reloadable: true,
			Help:  "a PEM file with the certificate for listen, and those between it and the authority's: browsers connect by https then, and by nothing else; it is read again when it changes, and at SIGHUP",
			Value: settings.File(&c.browserTLS.cert),
		},
		settings.Setting{
			Name: "tls-key-file", Help: "a PEM file with the certificate's key; it is read again likewise", Reloadable: true,
			Value: settings.File(&c.browserTLS.key),
		},
		settings.Setting{
			Name: "webtransport-cert-file", Reloadable: true,
			Help:  "a PEM file with the certificate for webtransport-listen, if it is not that of tls-cert-file; it is read again likewise",
			Value: settings.File(&c.webTransportTLS.cert),
		},
		settings.Setting{
			Name: "webtransport-key-file", Help: "a PEM file with the certificate's key; it is read again likewise", Reloadable: true,
			Value: settings.File(&c.webTransportTLS.key),
		},
		settings.Setting{
			Name: "control-tls-cert-file", Reloadable: true,
			Help:  "a PEM file with the certificate for control-listen, and those between it and the authority's: backends connect by TLS then; it is read again when it changes, and at SIGHUP",
			Value: settings.File(&c.controlTLS.cert),
		},
		settings.Setting{
			Name: "control-tls-key-file", Help: "a PEM file with the certificate's key; it is read again likewise", Reloadable: true,
			Value: settings.File(&c.controlTLS.key),
		},
		settings.Setting{
			Name: "control-client-ca-file", Reloadable: true,
			Help:  "a PEM file with the authorities of backends' certificates: one that a backend shows has to be of these, and stands for a key: one of control-keys-file by its name, or without that file one that may do everything; it is read again likewise, and holds for new connections",
			Value: settings.File(&c.controlClientCA),
		},
	)
}

// checkTLS reads the files, and refuses what makes no sense together.
func (c *listenerConfig) checkTLS(s *settings.Set) error {
	if err := settings.Join(
		checkPair(s, "tls-cert-file", "tls-key-file", c.browserTLS),
		c.checkWebTransport(s),
		checkPair(s, "control-tls-cert-file", "control-tls-key-file", c.controlTLS),
	); err != nil {
		return err
	}
	ca := s.Get("control-client-ca-file")
	switch {
	case ca.IsEmpty():
		return ca.Errorf("is set, but empty: leave it out if none is meant")
	case ca.IsSet() && !c.controlTLS.on():
		return ca.Errorf("backends show certificates over TLS only: set control-tls-cert-file and control-tls-key-file too")
	case ca.IsSet():
		if _, err := certfile.LoadPool(c.controlClientCA); err != nil {
			return ca.Errorf("the file %s: %w: name a PEM file with the certificates of authorities", c.controlClientCA, err)
		}
	}
	return nil
}

// checkTransports refuses a WebTransport that is allowed and not served, or served and
// not allowed, where that leaves nothing or makes no sense.
func (c *config) checkTransports(s *settings.Set) error {
	only := len(c.browsers.transports) > 0 && !c.browsers.transports.Has("polling") && !c.browsers.transports.Has("websocket")
	switch served := !c.listeners.webTransport.IsZero(); {
	case only && !served:
		return s.Get("transports").Errorf("webtransport-listen is not set, so nobody could connect: set it, or allow another transport")
	case served && !c.browsers.transports.Has("webtransport"):
		return s.Get("webtransport-listen").Errorf("transports leaves webtransport out: nobody could connect there")
	}
	return nil
}

// checkWebTransport reads the certificate for WebTransport, if it is served.
func (c *listenerConfig) checkWebTransport(s *settings.Set) error {
	if c.webTransport.IsZero() {
		return noneSet(s, "webtransport-listen is not set: nothing needs it", "webtransport-cert-file", "webtransport-key-file")
	}
	if !s.Get("webtransport-cert-file").IsSet() && !s.Get("webtransport-key-file").IsSet() && !c.browserTLS.on() {
		return s.Get("webtransport-listen").Errorf("WebTransport needs a certificate: set webtransport-cert-file and webtransport-key-file, or tls-cert-file and tls-key-file")
	}
	return checkPair(s, "webtransport-cert-file", "webtransport-key-file", c.webTransportTLS)
}

// checkPair reads the files of a certificate and its key, if they are named.
func checkPair(s *settings.Set, certName, keyName string, f keyPairFiles) error {
	cert, key := s.Get(certName), s.Get(keyName)
	switch {
	case cert.IsEmpty():
		return cert.Errorf("is set, but empty: leave it out if none is meant")
	case key.IsEmpty():
		return key.Errorf("is set, but empty: leave it out if none is meant")
	case cert.IsSet() && !key.IsSet():
		return cert.Errorf("a certificate needs its key: set %s too", keyName)
	case key.IsSet() && !cert.IsSet():
		return key.Errorf("a key needs its certificate: set %s too", certName)
	case !cert.IsSet():
		return nil
	}
	if _, err := certfile.LoadPair(f.cert, f.key); err != nil {
		return cert.Errorf("the files %s and %s (%s): %w: name PEM files with a certificate and its own key", f.cert, f.key, keyName, err)
	}
	return nil
}
