package nats

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority makes certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// files writes a node's certificate for a host into a folder.
func (a *authority) files(t *testing.T, dir, host string) TLSFiles {
	t.Helper()
	key := newKey(t)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	f := TLSFiles{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	for path, block := range map[string]*pem.Block{
		f.Cert: {Type: "CERTIFICATE", Bytes: der},
		f.Key:  {Type: "PRIVATE KEY", Bytes: private},
		f.CA:   {Type: "CERTIFICATE", Bytes: a.certificate.Raw},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func routeTLS(t *testing.T, f TLSFiles, said *log, peers ...Peer) *RouteTLS {
	t.Helper()
	r, err := NewRouteTLS(f, peers, said.logger())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRouteTLS(t *testing.T) {
	var said log
	ours, foreign := newAuthority(t), newAuthority(t)
	a := newEmbedded(t, Options{Node: "a", TLS: routeTLS(t, ours.files(t, t.TempDir(), "127.0.0.1"), &said), Logger: said.logger()})
	shared := newEmbedded(t, Options{Node: "shared", TLS: routeTLS(t, ours.files(t, t.TempDir(), "nodes.example"), &said), Logger: said.logger()})
	resolver := &names{}
	resolver.set("nodes.example", "127.0.0.1")

	for _, tt := range []struct {
		name   string
		peer   Peer
		from   *authority // of the node that connects
		to     *Embedded
		refuse string // part of the log; empty: let in
	}{
		{"an address", peerAt(a), ours, a, ""},
		{"a name that all share", Peer{Name: "nodes.example", Port: peerAt(shared).Port, DNS: true}, ours, shared, ""},
		{"another name", peerAt(shared), ours, shared, "valid for no host among the peers"},
		{"another authority", peerAt(a), foreign, a, "certificate signed by unknown authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var here log
			o := Options{Node: "b", Peers: []Peer{tt.peer}, Resolver: resolver, Logger: here.logger()}
			o.TLS = routeTLS(t, tt.from.files(t, t.TempDir(), "b"), &here, tt.peer)
			b := newEmbedded(t, o)
			if tt.refuse == "" {
				meet(t, tt.to, b)
				meet(t, b, tt.to)
				return
			}
			until(t, "refused: "+tt.refuse, func() bool { return strings.Contains(here.String(), tt.refuse) })
			if n := b.Stats().Routes; n != 0 {
				t.Errorf("%d routes", n)
			}
		})
	}

	t.Run("a peer without a certificate of the authority", func(t *testing.T) {
		// It takes any server, as an attacker would.
		lax := routeTLS(t, foreign.files(t, t.TempDir(), "b"), &log{}, peerAt(a))
		lax.config.VerifyConnection = nil
		var here log
		b := newEmbedded(t, Options{Node: "b", Peers: []Peer{peerAt(a)}, TLS: lax, Logger: here.logger()})
		until(t, "refused by who is connected to", func() bool {
			return strings.Contains(said.String(), "certificate signed by unknown authority")
		})
		if n := b.Stats().Routes; n != 0 {
			t.Errorf("%d routes", n)
		}
	})
	t.Run("a peer without TLS", func(t *testing.T) {
		var here log
		b := newEmbedded(t, Options{Node: "b", Peers: []Peer{peerAt(a)}, Logger: here.logger()})
		until(t, "refused", func() bool { return strings.Contains(here.String(), "Router connection closed") })
		if n := b.Stats().Routes; n != 0 {
			t.Errorf("%d routes", n)
		}
	})
	if strings.Contains(said.String(), "DO NOT USE IN PRODUCTION") {
		t.Error("the log warns of what is not so")
	}
}

// TestTLSFilesAreReadAgain: certificates may be replaced, by those of another authority too.
func TestTLSFilesAreReadAgain(t *testing.T) {
	var said log
	before, after := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	a := newEmbedded(t, Options{Node: "a", TLS: routeTLS(t, before.files(t, dir, "127.0.0.1"), &said)})
	after.files(t, dir, "127.0.0.1")
	b := newEmbedded(t, Options{Node: "b", Peers: []Peer{peerAt(a)}, TLS: routeTLS(t, after.files(t, t.TempDir(), "127.0.0.1"), &said, peerAt(a))})
	meet(t, a, b)
	b.Close()

	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newEmbedded(t, Options{Node: "c", Peers: []Peer{peerAt(a)}, TLS: routeTLS(t, after.files(t, t.TempDir(), "127.0.0.1"), &said, peerAt(a))})
	meet(t, a, c)
	if !strings.Contains(said.String(), "what was read before stays in use") {
		t.Error("nothing is said about a broken file")
	}
}

func TestTLSFilesThatAreWrong(t *testing.T) {
	a := newAuthority(t)
	for _, tt := range []struct {
		name  string
		spoil func(f *TLSFiles)
		want  string
	}{
		{"no certificate", func(f *TLSFiles) { f.Cert = "/nowhere" }, "/nowhere"},
		{"no key", func(f *TLSFiles) { f.Key = "/nowhere" }, "/nowhere"},
		{"no authority", func(f *TLSFiles) { f.CA = "/nowhere" }, "/nowhere"},
		{"a key as the authority", func(f *TLSFiles) { f.CA = f.Key }, "no certificate in"},
	} {
		f := a.files(t, t.TempDir(), "x")
		tt.spoil(&f)
		if _, err := NewRouteTLS(f, nil, (&log{}).logger()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestTLSFilesWithByteOrderMarks(t *testing.T) {
	f := newAuthority(t).files(t, t.TempDir(), "x")
	f.mark(t)
	if _, err := NewRouteTLS(f, nil, (&log{}).logger()); err != nil {
		t.Error(err)
	}
}

// mark begins the files with a byte order mark.
func (f TLSFiles) mark(t *testing.T) {
	t.Helper()
	for _, path := range []string{f.Cert, f.Key, f.CA} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append([]byte("\ufeff"), text...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
