package certfile

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Pair is a certificate and its key, as they are in their files. All methods may be
// called at once.
type Pair struct {
	files files[*tls.Certificate]
}

// LoadPair reads a certificate, with those between it and the authority's after it in
// the file, and its key.
func LoadPair(certFile, keyFile string) (*tls.Certificate, error) {
	p := newPair("", certFile, keyFile)
	if err := p.files.open(); err != nil {
		return nil, err
	}
	return p.Certificate(), nil
}

func newPair(who, certFile, keyFile string) *Pair {
	return &Pair{files[*tls.Certificate]{
		who: who, paths: []string{certFile, keyFile}, parse: parsePair,
		doubt: func(c *tls.Certificate) string { return outOfDate(c, time.Now()) },
	}}
}

func parsePair(texts [][]byte) (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return nil, err
	}
	if c.Leaf == nil {
		return nil, errors.New("the certificate cannot be read")
	}
	return &c, nil
}

// Certificate returns the certificate that the files have now, or had last.
func (p *Pair) Certificate() *tls.Certificate { return *p.files.now.Load() }

// GetCertificate is for [tls.Config].
func (p *Pair) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.Certificate(), nil
}

// outOfDate says that peers refuse the certificate at this time; empty: they do not.
func outOfDate(c *tls.Certificate, now time.Time) string {
	switch {
	case now.After(c.Leaf.NotAfter):
		return fmt.Sprintf("the certificate has expired, on %s: peers refuse it", c.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(c.Leaf.NotBefore):
		return fmt.Sprintf("the certificate is not valid before %s: peers refuse it until then", c.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return ""
}
