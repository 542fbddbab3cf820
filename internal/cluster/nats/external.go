package nats

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/fanoutd/fanoutd/internal/certfile"
)

// ExternalOptions are those of a bus over somebody else's NATS.
type ExternalOptions struct {
	Node            string       // this node's name, for the server's lists
	Cluster         string       // one word; clusters of different names do not see each other
	URLs            []string     // of one server or several of one NATS; may have a user and password, or a token
	CredentialsFile string       // a NATS credentials file, with a JWT and a key; empty: none
	TLS             bool         // encrypt also where a URL does not say tls://
	CAFile          string       // authorities of the server's certificate; empty: the system's
	CertFile        string       // this node's certificate, if the server wants one
	KeyFile         string       // its key
	Logger          *slog.Logger // nil: none
}

// External is a bus over somebody else's NATS.
type External struct{ *conn }

// NewExternal connects to a NATS. If it is away that is no error: the bus is not
// connected then, and tries for ever, as it does later.
func NewExternal(o ExternalOptions) (*External, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &conn{prefix: "fanoutd." + o.Cluster + ".", log: o.Logger.With("bus", "external"), slow: rate.Sometimes{Interval: warnEvery}}
	options := append(c.options(o.Node), nats.RetryOnFailedConnect(true))
	// All files are read again for each connection.
	if o.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(o.CredentialsFile))
	}
	if o.TLS {
		options = append(options, nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12})) // what the server offers is not ours to choose
	}
	if o.CAFile != "" || o.CertFile != "" {
		options = append(options, o.tlsFiles())
	}
	var err error
	if c.client, err = nats.Connect(strings.Join(o.URLs, ","), options...); err != nil {
		return nil, fmt.Errorf("connecting to the external NATS: %w", err)
	}
	return &External{c}, nil
}

// tlsFiles has the client read the files as routes do, and not by itself.
func (o *ExternalOptions) tlsFiles() nats.Option {
	var certificate nats.TLSCertHandler
	var authorities nats.RootCAsHandler
	if o.CertFile != "" {
		certificate = func() (tls.Certificate, error) {
			pair, err := certfile.LoadPair(o.CertFile, o.KeyFile)
			if err != nil {
				return tls.Certificate{}, err
			}
			return *pair, nil
		}
	}
	if o.CAFile != "" {
		authorities = func() (*x509.CertPool, error) { return certfile.LoadPool(o.CAFile) }
	}
	return nats.ClientTLSConfig(certificate, authorities)
}
