package nats

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/fanoutd/fanoutd/internal/certfile"
)

// TLSFiles are PEM files that may be replaced while the daemon runs: each new
// connection reads them, and takes what was read last if they are wrong now.
type TLSFiles struct {
	Cert string // this node's certificate, and those between it and the authority's
	Key  string
	CA   string // certificates of the authorities that peers' certificates come from
}

// Check reports what is wrong with the files; those that are not named are not needed.
func (f TLSFiles) Check() error {
	if f.Cert != "" || f.Key != "" {
		if _, err := certfile.LoadPair(f.Cert, f.Key); err != nil {
			return err
		}
	}
	if f.CA != "" {
		if _, err := certfile.LoadPool(f.CA); err != nil {
			return err
		}
	}
	return nil
}

// material is what is in the files.
type material struct {
	certificate *tls.Certificate
	authorities *x509.CertPool
}

func (f TLSFiles) read() (*material, error) {
	certificate, err := certfile.LoadPair(f.Cert, f.Key)
	if err != nil {
		return nil, err
	}
	authorities, err := certfile.LoadPool(f.CA)
	if err != nil {
		return nil, err
	}
	return &material{certificate, authorities}, nil
}

// RouteTLS encrypts routes. Both ends show a certificate of one of the authorities. Who
// connects moreover wants one that is valid for a host that it has among its peers:
// each node's own, or a name that all nodes share, as a headless service has. The
// server learns peers from each other by address only, which certificates seldom have.
type RouteTLS struct {
	files  TLSFiles
	names  []string
	log    *slog.Logger
	last   atomic.Pointer[material] // what was read last and was right
	config *tls.Config
}

// NewRouteTLS reads the files. The names are those of peers; without any, who connects
// takes every certificate of the authorities.
func NewRouteTLS(files TLSFiles, peers []Peer, log *slog.Logger) (*RouteTLS, error) {
	first, err := files.read()
	if err != nil {
		return nil, err
	}
	r := &RouteTLS{files: files, log: log}
	r.last.Store(first)
	for _, p := range peers {
		r.names = append(r.names, p.Name)
	}
	r.config = &tls.Config{
		MinVersion: tls.VersionTLS13,
		// For who connects:
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return r.current().certificate, nil },
		InsecureSkipVerify:   true, // VerifyConnection does it, with authorities and names as they are now
		VerifyConnection:     r.verifyServer,
		// For who is connected to:
		ClientAuth:         tls.RequireAndVerifyClientCert,
		GetConfigForClient: r.configForClient,
	}
	return r, nil
}

// current returns what is in the files now, or was last.
func (r *RouteTLS) current() *material {
	m, err := r.files.read()
	if err != nil {
		r.log.Warn("the cluster's TLS files cannot be read: what was read before stays in use", "error", err)
		return r.last.Load()
	}
	r.last.Store(m)
	return m
}

// configForClient is the configuration for one peer that connects.
func (r *RouteTLS) configForClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	m := r.current()
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{*m.certificate},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    m.authorities,
	}, nil
}

// verifyServer checks the certificate of a peer that this node connects to.
func (r *RouteTLS) verifyServer(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the peer has no certificate")
	}
	certificate := s.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: r.current().authorities, Intermediates: between}); err != nil {
		return err
	}
	if len(r.names) == 0 {
		return nil
	}
	for _, name := range r.names {
		if certificate.VerifyHostname(name) == nil {
			return nil
		}
	}
	return fmt.Errorf("the peer's certificate is valid for no host among the peers %q: it has the names %q and the addresses %v",
		r.names, certificate.DNSNames, certificate.IPAddresses)
}
