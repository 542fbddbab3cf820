package main

import (
	"github.com/fanoutd/fanoutd/internal/control/httpserver"
	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// listenerConfig says where the daemon listens, and for whom.
type listenerConfig struct {
	browsers  settings.Address
	control   settings.Address
	operators settings.Address

	controlKeys     []string // of control-key or control-key-file
	controlKeyFile  string
	namedKeys       []identity.Key // of control-keys-file
	controlKeysFile string
	insecureControl bool
	console         bool
	controlHosts    []string // in lower case
	controlOrigins  []string // as browsers send them
	controlTLS      keyPairFiles
	controlClientCA string // a file; empty: none

	webTransport    settings.Address // zero: nowhere
	browserTLS      keyPairFiles
	webTransportTLS keyPairFiles // none: those of browserTLS
}

// declare adds the settings, each with its default in c.
func (c *listenerConfig) declare(s *settings.Set) {
	s.Declare("Listeners",
		settings.Setting{
			Name: "listen", Help: "where browsers connect: HOST:PORT, :PORT for every interface, or unix:/PATH for a proxy on this machine, which its owner and its group may use",
			Value: settings.HostPortOrUnix(&c.browsers, ":8080"),
		},
		settings.Setting{
			Name: "control-listen", Help: "where backends call, by gRPC or by HTTP with JSON: HOST:PORT or unix:/PATH; beyond loopback and unix it needs control-key, control-keys-file or control-client-ca-file",
			Value: settings.HostPortOrUnix(&c.control, "127.0.0.1:8081"),
		},
		settings.Setting{
			Name: "ops-listen", Help: "where operators find health, metrics, profiles and the console: HOST:PORT or unix:/PATH; only the console asks who they are",
			Value: settings.HostPortOrUnix(&c.operators, "127.0.0.1:8082"),
		},
		settings.Setting{
			Name:  "console",
			Help:  "serve the console, pages for operators, at /console/ of ops-listen; it asks for a control key if there is one, and without any it is served on loopback and unix only",
			Value: settings.Bool(&c.console, true),
		},
		settings.Setting{
			Name: "control-key", Secret: true, Reloadable: true,
			Help:  "the bearer key that backends send, or two during a rotation; a command line is no secret, so prefer the variable or control-key-file",
			Value: settings.List(&c.controlKeys, nil, "one or two keys without blanks or commas", parseKeys),
		},
		settings.Setting{
			Name: "control-key-file", Help: "a file with the keys instead, one a line; it is read again when it changes, and at SIGHUP", Reloadable: true,
			Value: settings.File(&c.controlKeyFile),
		},
		settings.Setting{
			Name: "control-keys-file", Reloadable: true,
			Help: "a YAML file with keys that have names and may do no more than it says: a list of entries with name; one of key, key-sha256 and certificate (a name in a client's certificate, or a pattern); " +
				"and scopes (emit, read, write, disconnect, consume, authorize, tail, admin), namespaces and rooms (names, or patterns with *), each left out for all; it is read again when it changes, and at SIGHUP",
			Value: settings.File(&c.controlKeysFile),
		},
		settings.Setting{
			Name: "insecure-control", Help: "let everybody who reaches control-listen call without a key",
			Value: settings.Bool(&c.insecureControl, false),
		},
		settings.Setting{
			Name:  "control-hosts",
			Help:  "the names by which backends call control-listen over HTTP without TLS, besides IP addresses and localhost; if there are none, any name will do where a key is asked for, and no other where none is, so that no web page reaches the daemon by a name of its own",
			Value: settings.List(&c.controlHosts, nil, "names of hosts without a port, such as fanoutd.internal", httpserver.ParseHosts),
		},
		settings.Setting{
			Name:  "control-origins",
			Help:  "web pages that may call control-listen from browsers; whoever uses one of them has its key, or needs none",
			Value: settings.List(&c.controlOrigins, nil, "origins such as https://admin.example.com, without patterns", httpserver.ParseOrigins),
		},
		settings.Setting{
			Name:  "webtransport-listen",
			Help:  "serve WebTransport too, at this UDP address: HOST:PORT or :PORT; clients look for it at the port they know, so mostly the one their https has",
			Value: settings.HostPort(&c.webTransport, ""),
		},
	)
	c.declareTLS(s)
}

// check reads the files, and refuses what makes no sense together.
func (c *listenerConfig) check(s *settings.Set) error {
	if err := c.readKeys(s); err != nil {
		return err
	}
	known := len(c.credentials()) > 0
	switch {
	case known && c.insecureControl:
		return s.Get("insecure-control").Errorf("a control key, or client certificates, are set too: only one can be meant")
	case !known && !c.insecureControl && !c.control.Private():
		return s.Get("control-listen").Errorf("others can reach %s: set control-key, control-key-file, control-keys-file or control-client-ca-file, listen on loopback or unix:/PATH, or allow everybody with --insecure-control", c.control)
	}
	if weak := c.weakKey(); weak > 0 && !c.control.Private() {
		return s.Get(c.keySetting(s)).Errorf("%s", weakKeyError(weak, c.control))
	}
	return c.checkTLS(s)
}

// checkAddresses refuses two listeners at one address.
func (c *config) checkAddresses(s *settings.Set) error {
	all := []struct {
		setting string
		at      settings.Address
	}{
		{"listen", c.listeners.browsers},
		{"control-listen", c.listeners.control},
		{"ops-listen", c.listeners.operators},
		{"cluster-listen", c.cluster.listen},
		{"cluster-forward-listen", c.cluster.forwardAt},
	}
	for i, x := range all {
		for _, y := range all[:i] {
			if x.at.Meets(y.at) {
				return s.Get(x.setting).Errorf("%s listens at %s: set another address or port for one of them", y.setting, y.at)
			}
		}
	}
	return nil
}

// closedToNodes says why other nodes cannot hand over requests where browsers connect,
// empty if they can.
func (c *config) closedToNodes() string {
	switch {
	case c.listeners.browsers.Network == "unix":
		return "it is a unix socket"
	case c.listeners.browserTLS.on():
		return "tls-cert-file is set"
	case c.browsers.proxyProtocol:
		return "proxy-protocol is set"
	}
	return ""
}
