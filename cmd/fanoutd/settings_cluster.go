package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/fanoutd/fanoutd/internal/cluster/nats"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// minSecret is how long a cluster's secret is at least where others may try to guess it.
const minSecret = minKey // bytes

// clusterConfig says which node this is, and how it finds the others.
type clusterConfig struct {
	node      string
	name      string
	listen    settings.Address // of the embedded NATS; zero: there is none
	peers     []nats.Peer
	advertise string
	forward   string           // where other nodes hand over browsers' requests; empty: where they are expected to reach listen
	forwardAt settings.Address // where they are taken; zero: where browsers connect
	external  []string         // URLs of a NATS that somebody else runs; none: there is none
	insecure  bool

	secretFile      string
	secret          []byte // what is in the file
	tls             nats.TLSFiles
	credentialsFile string
}

// declare adds the settings, each with its default in c.
func (c *clusterConfig) declare(s *settings.Set) {
	s.Declare("Cluster",
		settings.Setting{
			Name: "node-name", Help: "what this node is called, unlike all others of its cluster; the host's name if it is not set",
			Value: settings.Scalar(&c.node, "", nameAllowed, parseName),
		},
		settings.Setting{
			Name: "cluster-name", Help: "what the cluster is called; nodes of another name are kept out",
			Value: settings.Scalar(&c.name, "fanoutd", nameAllowed, parseClusterName),
		},
		settings.Setting{
			Name: "cluster-listen", Help: "be a node of a cluster, and listen for the others at HOST:PORT or :PORT",
			Value: settings.HostPort(&c.listen, ""),
		},
		settings.Setting{
			Name: "cluster-peers", Help: "where other nodes listen: HOST:PORT, or dns:NAME:PORT for all addresses of a name, looked up again and again; itself among them does no harm",
			Value: settings.List(&c.peers, nil, "HOST:PORT or dns:NAME:PORT, several separated by commas", parsePeers),
		},
		settings.Setting{
			Name: "cluster-advertise", Help: "where other nodes reach cluster-listen, HOST or HOST:PORT, if it is not where they see this node",
			Value: settings.Scalar(&c.advertise, "", "HOST or HOST:PORT", parseAdvertise),
		},
		settings.Setting{
			Name:  "cluster-forward-listen",
			Help:  "take requests of this node's browsers that other nodes hand over at HOST:PORT or :PORT, in plain HTTP, instead of at listen; needed where that is a unix socket or has tls-cert-file or proxy-protocol",
			Value: settings.HostPort(&c.forwardAt, ""),
		},
		settings.Setting{
			Name: "cluster-forward-address", Help: "where other nodes hand over requests of this node's browsers, HOST:PORT, if not at the port of cluster-forward-listen or listen and the host of cluster-advertise or cluster-listen",
			Value: settings.Scalar(&c.forward, "", "HOST:PORT", parseForward),
		},
		settings.Setting{
			Name: "cluster-secret-file", Help: "a file with what all nodes know and nobody else does",
			Value: settings.File(&c.secretFile),
		},
		settings.Setting{
			Name: "cluster-tls-cert-file", Help: "a PEM file with this node's certificate for the others; all files are read again for each new connection", Reloadable: true,
			Value: settings.File(&c.tls.Cert),
		},
		settings.Setting{
			Name: "cluster-tls-key-file", Help: "a PEM file with the certificate's key", Reloadable: true,
			Value: settings.File(&c.tls.Key),
		},
		settings.Setting{
			Name: "cluster-tls-ca-file", Help: "a PEM file with the certificates that may sign the others'", Reloadable: true,
			Value: settings.File(&c.tls.CA),
		},
		settings.Setting{
			Name: "insecure-cluster", Help: "let everybody who reaches cluster-listen be a node, or use cluster-nats in plain text",
			Value: settings.Bool(&c.insecure, false),
		},
		settings.Setting{
			Name: "cluster-nats", Secret: true,
			Help:  "be a node of a cluster over a NATS that you run, instead of cluster-listen: nats:// or tls:// URLs of its servers",
			Value: settings.List(&c.external, nil, "URLs nats://HOST:PORT or tls://HOST:PORT, with USER:PASSWORD@ or TOKEN@ where needed, several separated by commas", parseNATS),
		},
		settings.Setting{
			Name: "cluster-nats-credentials-file", Help: "a NATS credentials file (.creds) for cluster-nats",
			Value: settings.File(&c.credentialsFile),
		},
	)
}

const nameAllowed = "letters, digits, hyphens, underscores and dots, up to 128"

// parseName reads the name of a node: nothing that a subject, a log or a URL would have to escape.
func parseName(raw string) (string, error) {
	if len(raw) > 128 || strings.ContainsFunc(raw, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	}) {
		return "", settings.ErrNotAllowed
	}
	return raw, nil
}

// parseClusterName reads the name of a cluster, which is one token of NATS's subjects.
func parseClusterName(raw string) (string, error) {
	if raw == "" || strings.Contains(raw, ".") {
		return "", errors.New("it is empty or has a dot")
	}
	return parseName(raw)
}

func parsePeers(items []string) ([]nats.Peer, error) {
	var peers []nats.Peer
	for _, item := range items {
		p, err := nats.ParsePeer(item)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", item, err)
		}
		peers = append(peers, p)
	}
	return peers, nil
}

func parseAdvertise(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	if !strings.Contains(raw, ":") || net.ParseIP(raw) != nil { // a host
		return raw, nil
	}
	if p, err := nats.ParsePeer(raw); err != nil || p.DNS {
		return "", settings.ErrNotAllowed
	}
	return raw, nil
}

func parseForward(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	if p, err := nats.ParsePeer(raw); err != nil || p.DNS {
		return "", settings.ErrNotAllowed
	}
	return raw, nil
}

// parseNATS checks URLs; its errors do not repeat them, for they may have a password.
func parseNATS(items []string) ([]string, error) {
	for i, item := range items {
		u, err := url.Parse(item)
		switch {
		case err != nil || u.Hostname() == "" || u.Path != "" || u.RawQuery != "":
			return nil, fmt.Errorf("URL %d is none of a server", i+1)
		case u.Scheme != "nats" && u.Scheme != "tls":
			return nil, fmt.Errorf("URL %d begins with neither nats:// nor tls://", i+1)
		}
	}
	return items, nil
}

// on reports whether there is a cluster.
func (c *clusterConfig) on() bool { return !c.listen.IsZero() || len(c.external) > 0 }

// check reads the files, and refuses what makes no sense together. Why other nodes cannot
// hand over requests where browsers connect is closed, if they cannot.
func (c *clusterConfig) check(s *settings.Set, closed string) error {
	if c.node == "" {
		host, err := os.Hostname()
		if err != nil {
			return s.Get("node-name").Errorf("the name of this host: %v: set one", err)
		}
		c.node = host
	}
	switch {
	case c.on() && c.forwardAt.IsZero() && closed != "":
		return s.Get("listen").Errorf("other nodes cannot hand over requests there, as %s: set cluster-forward-listen", closed)
	case !c.listen.IsZero() && len(c.external) > 0:
		return s.Get("cluster-nats").Errorf("cluster-listen is set too: only one can be meant")
	case !c.listen.IsZero():
		return c.checkEmbedded(s)
	case len(c.external) > 0:
		return c.checkExternal(s)
	}
	return noneSet(s, "neither cluster-listen nor cluster-nats is set: there is no cluster that it could be for",
		"cluster-name", "cluster-peers", "cluster-advertise", "cluster-secret-file", "cluster-tls-cert-file", "cluster-tls-key-file",
		"cluster-tls-ca-file", "insecure-cluster", "cluster-nats-credentials-file", "cluster-forward-listen", "cluster-forward-address")
}

// noneSet returns an error if one of the settings is set.
func noneSet(s *settings.Set, why string, names ...string) error {
	for _, name := range names {
		if x := s.Get(name); x.IsSet() {
			return x.Errorf("%s", why)
		}
	}
	return nil
}

func (c *clusterConfig) checkEmbedded(s *settings.Set) error {
	if err := noneSet(s, "it is for cluster-nats, and cluster-listen is set", "cluster-nats-credentials-file"); err != nil {
		return err
	}
	if err := c.readSecret(s); err != nil {
		return err
	}
	if c.encrypted() {
		for _, name := range []string{"cluster-tls-cert-file", "cluster-tls-key-file", "cluster-tls-ca-file"} {
			if x := s.Get(name); x.IsEmpty() || !x.IsSet() {
				return x.Errorf("nodes show each other certificates: set cluster-tls-cert-file, cluster-tls-key-file and cluster-tls-ca-file, or none of them")
			}
		}
		if err := c.checkFiles(s); err != nil {
			return err
		}
	}
	return c.checkExposure(s)
}

// checkFiles reads the files for TLS that are named.
func (c *clusterConfig) checkFiles(s *settings.Set) error {
	if err := (nats.TLSFiles{Cert: c.tls.Cert, Key: c.tls.Key}).Check(); err != nil {
		return s.Get("cluster-tls-cert-file").Errorf("%v", err)
	}
	if err := (nats.TLSFiles{CA: c.tls.CA}).Check(); err != nil {
		return s.Get("cluster-tls-ca-file").Errorf("%v", err)
	}
	return nil
}

// checkExposure refuses a port that lets in whoever reaches it, unless that is meant.
func (c *clusterConfig) checkExposure(s *settings.Set) error {
	closed := c.secret != nil && c.encrypted()
	switch x := s.Get("cluster-listen"); {
	case c.insecure && closed:
		return s.Get("insecure-cluster").Errorf("cluster-secret-file and cluster-tls-… are set too: only one can be meant")
	case c.listen.Private() || c.insecure:
		return nil
	case !closed:
		return x.Errorf("others can reach %s: set cluster-secret-file, and cluster-tls-cert-file, cluster-tls-key-file and cluster-tls-ca-file, listen on loopback, or allow everybody with --insecure-cluster", c.listen)
	case len(c.secret) < minSecret:
		return s.Get("cluster-secret-file").Errorf("the secret has fewer than %d bytes, and others can reach %s and guess it: make one by \"openssl rand -hex 32\"", minSecret, c.listen)
	}
	return nil
}

// readSecret reads cluster-secret-file, if there is one.
func (c *clusterConfig) readSecret(s *settings.Set) error {
	x := s.Get("cluster-secret-file")
	if !x.IsSet() {
		return nil
	}
	if x.IsEmpty() {
		return x.Errorf("is set, but empty: leave it out if none is meant")
	}
	text, err := settings.ReadFile(c.secretFile)
	if err != nil {
		return x.Errorf("%v", err)
	}
	if c.secret = bytes.TrimSpace(text); len(c.secret) == 0 {
		return x.Errorf("the file %s is empty", c.secretFile)
	}
	return nil
}

// encrypted reports whether one of the files for TLS is named.
func (c *clusterConfig) encrypted() bool { return c.tls != nats.TLSFiles{} }

func (c *clusterConfig) checkExternal(s *settings.Set) error {
	if err := noneSet(s, "it is for cluster-listen, and cluster-nats is set", "cluster-peers", "cluster-advertise", "cluster-secret-file"); err != nil {
		return err
	}
	if (c.tls.Cert == "") != (c.tls.Key == "") {
		return s.Get("cluster-tls-cert-file").Errorf("cluster-tls-cert-file and cluster-tls-key-file go together: set both or none")
	}
	if err := c.checkFiles(s); err != nil {
		return err
	}
	if x := s.Get("cluster-nats-credentials-file"); x.IsSet() {
		if _, err := settings.ReadFile(c.credentialsFile); err != nil {
			return x.Errorf("%v", err)
		}
	}
	plain := c.plainURL()
	switch {
	case c.insecure && plain == 0:
		return s.Get("insecure-cluster").Errorf("what cluster-nats says is encrypted, or stays on this machine: only one can be meant")
	case !c.insecure && plain > 0:
		return s.Get("cluster-nats").Errorf("URL %d leads over a network in plain text: use tls://, set cluster-tls-ca-file, or allow it with --insecure-cluster", plain)
	}
	return nil
}

// plainURL returns which URL, from 1, leads to another machine in plain text; 0: none.
func (c *clusterConfig) plainURL() int {
	for i, raw := range c.external {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme == "tls" || c.encrypted() {
			continue
		}
		if at := (settings.Address{Network: "tcp", Name: net.JoinHostPort(u.Hostname(), u.Port())}); !at.Private() {
			return i + 1
		}
	}
	return 0
}

// warn says what is open to more people than one may think.
func (c *clusterConfig) warn(log *slog.Logger) {
	switch {
	case !c.insecure:
	case len(c.external) > 0:
		log.Warn("what nodes say to each other, browsers' data included, goes to the NATS server in plain text: insecure-cluster is set")
	case c.on() && !c.listen.Private():
		log.Warn("whoever reaches the cluster's listener may send to all browsers and read what they send, or read it on the way: insecure-cluster is set",
			"address", c.listen.String(), "secret", c.secret != nil, "tls", c.encrypted())
	}
}
