// Package certtest makes certificates for tests.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates.
type Authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// New returns an authority that is valid for some days around now.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{key: newKey(t)}
	a.certificate = parse(t, sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-day), NotAfter: time.Now().Add(2 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, a.key.Public(), a.key))
	return a
}

const day = 24 * time.Hour

// Certificate is a certificate and its key in PEM.
type Certificate struct{ Cert, Key string }

// Issue returns a certificate for a name, which is its common name and its only DNS
// name, and for loopback; good for servers and clients, from a day ago to in a day.
func (a *Authority) Issue(t testing.TB, name string) Certificate {
	t.Helper()
	return a.IssueFor(t, name, time.Now().Add(-day), time.Now().Add(day))
}

// IssueFor is Issue for a certain time.
func (a *Authority) IssueFor(t testing.TB, name string, from, to time.Time) Certificate {
	t.Helper()
	key := newKey(t)
	der := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, key.Public(), a.key)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{encode("CERTIFICATE", der), encode("PRIVATE KEY", secret)}
}

// PEM returns the authority's own certificate.
func (a *Authority) PEM() string { return encode("CERTIFICATE", a.certificate.Raw) }

// Pool returns those who trust the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.certificate)
	return p
}

// Write writes the certificate and its key into a folder, over what was there.
func (c Certificate) Write(t testing.TB, dir string) (certFile, keyFile string) {
	t.Helper()
	return Write(t, dir, "cert.pem", c.Cert), Write(t, dir, "key.pem", c.Key)
}

// TLS returns the certificate for a [tls.Config].
func (c Certificate) TLS(t testing.TB) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(c.Cert), []byte(c.Key))
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// Write writes a file into a folder, over what was there, and returns its path.
func Write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign signs a certificate by its parent, or by itself if that is nil.
func sign(t testing.TB, c, parent *x509.Certificate, public any, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = serial
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
