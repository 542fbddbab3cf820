package hook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

func TestOptionsRefused(t *testing.T) {
	for want, o := range map[string]Options{
		"no address":      {},
		"timeout":         {Address: "a:1", Timeout: -1},
		"-1 calls":        {Address: "a:1", Concurrency: -1},
		"10001 calls":     {Address: "a:1", Concurrency: 10001},
		"has blanks":      {Address: "a:1", Key: "k\n"},
		"invalid control": {Address: "a:1\x00"},
	} {
		c, err := New(o)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "hook") {
			t.Errorf("got %v, %v, want something with %q", c, err, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"auth.example.com:9000": "dns:///auth.example.com:9000",
		"127.0.0.1:9000":        "dns:///127.0.0.1:9000",
		"[::1]:9000":            "dns:///[::1]:9000",
		"unix:/run/auth.sock":   "unix:/run/auth.sock",
	} {
		if got := (Options{Address: address}).target(); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
		c, err := New(Options{Address: address})
		if err != nil {
			t.Fatalf("%s: %v", address, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// certificate is one that signs itself, for this host, and the pool that trusts it.
func certificate(t *testing.T, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// TestTLS: only the backend that the certificate is for is told anything.
func TestTLS(t *testing.T) {
	for name, tt := range map[string]struct {
		host    string
		trusted bool
		refused string
	}{
		"right":        {"backend", true, ""},
		"another name": {"other", true, "other"},
		"untrusted":    {"backend", false, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cert, pool := certificate(t, tt.host)
				if !tt.trusted {
					pool = x509.NewCertPool()
				}
				c, b := newTest(t, Options{TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, Key: "k3y"})
				b.start(grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
				_, err := authorize(t.Context(), c)
				if tt.refused == "" {
					if err != nil {
						t.Errorf("refused: %v", err)
					}
					return
				}
				if !errors.Is(err, errFailed) || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestTLSIsNotLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := newTest(t, Options{TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
		b.start() // in plain text
		if _, err := authorize(t.Context(), c); !errors.Is(err, errFailed) {
			t.Errorf("got %v", err)
		}
	})
}
