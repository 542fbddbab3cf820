package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

const jwtSecret = "0123456789abcdef0123456789abcdef"

// tokenArgs configure tokens by a secret.
func tokenArgs(more ...string) []string {
	return append([]string{"--jwt-secret=" + jwtSecret, "--jwt-algorithms=HS256", "--jwt-issuer=me", "--jwt-audience=fanoutd"}, more...)
}

// keyPair writes an ECDSA key and returns the files of both parts.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private = writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	if der, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		t.Fatal(err)
	}
	return private, writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
}

// TestAdmissionRefusals: what is incomplete or contradicts itself ends the start,
// with the name of the setting, rather than let in more than was meant.
func TestAdmissionRefusals(t *testing.T) {
	_, public := keyPair(t)
	secretFile := writeFile(t, jwtSecret)
	with := func(key string, more ...string) []string {
		return append([]string{key, "--jwt-issuer=me", "--jwt-audience=fanoutd"}, more...)
	}
	tests := []struct {
		name string
		args []string
		env  string
		want []string // all in the error
	}{
		{"algorithms without a key", []string{"--jwt-algorithms=HS256"}, "", []string{"jwt-algorithms", "only with a key"}},
		{"issuer without a key", nil, "FANOUTD_JWT_ISSUER=me", []string{"jwt-issuer", "only with a key"}},
		{"sources without a key", []string{"--jwt-sources=auth"}, "", []string{"jwt-sources", "only with a key"}},
		{"empty secret", tokenArgs("--jwt-secret="), "", []string{"jwt-secret", "empty"}},
		{"empty variable", nil, "FANOUTD_JWT_SECRET=", []string{"jwt-secret", "FANOUTD_JWT_SECRET", "empty"}},
		{"empty secret file", with("--jwt-secret-file="+writeFile(t, "\n"), "--jwt-algorithms=HS256"), "", []string{"jwt-secret-file", "empty"}},
		{"no secret file", with("--jwt-secret-file=/nonexistent", "--jwt-algorithms=HS256"), "", []string{"jwt-secret-file", "/nonexistent"}},
		{"no name of a secret file", with("--jwt-secret-file=", "--jwt-algorithms=HS256"), "", []string{"jwt-secret-file"}},
		{"secret twice", tokenArgs("--jwt-secret-file=" + secretFile), "", []string{"jwt-secret-file", "jwt-secret is set too"}},
		{"secret and public key", tokenArgs("--jwt-public-key-file=" + public), "", []string{"jwt-public-key-file", "jwt-secret is set too", "one way"}},
		{"public key and URL", with("--jwks-url=https://x", "--jwt-public-key-file="+public, "--jwt-algorithms=ES256"), "", []string{"jwks-url", "jwt-public-key-file is set too"}},
		{"no algorithm", with("--jwt-public-key-file=" + public), "", []string{"jwt-algorithms", "jwt-public-key-file is set"}},
		{"no algorithm left", with("--jwt-public-key-file="+public, "--jwt-algorithms="), "", []string{"jwt-algorithms"}},
		{"no issuer", []string{"--jwks-url=https://x", "--jwt-algorithms=ES256", "--jwt-audience=a"}, "", []string{"jwt-issuer", "jwks-url is set"}},
		{"no audience", []string{"--jwks-url=https://x", "--jwt-algorithms=ES256", "--jwt-issuer=a"}, "", []string{"jwt-audience", "jwks-url is set"}},
		{"no user claim", tokenArgs("--jwt-user-claim="), "", []string{"jwt-user-claim", "empty"}},
		{"no source", tokenArgs("--jwt-sources="), "", []string{"jwt-sources"}},
		{"unknown source", tokenArgs("--jwt-sources=cookie"), "", []string{"jwt-sources", `"cookie"`, "auth, query, header"}},
		{"source twice", tokenArgs("--jwt-sources=auth,auth"), "", []string{"jwt-sources", "twice"}},
		{"none", with("--jwt-secret="+jwtSecret, "--jwt-algorithms=none"), "", []string{"jwt-algorithms", `"none"`, "HS256, "}},
		{"HMAC with the public key", with("--jwt-public-key-file="+public, "--jwt-algorithms=ES256,HS256"), "", []string{"jwt-public-key-file", "HS256", "HMAC needs a secret"}},
		{"HMAC with the URL", with("--jwks-url=https://x", "--jwt-algorithms=HS256"), "", []string{"jwks-url", "HS256"}},
		{"short secret", with("--jwt-secret=s3cr3t", "--jwt-algorithms=HS256"), "", []string{"jwt-secret", "6 bytes and needs 32"}},
		{"another key", with("--jwt-public-key-file="+public, "--jwt-algorithms=RS256"), "", []string{"jwt-public-key-file", "RS256", "P-256"}},
		{"no key in the file", with("--jwt-public-key-file="+secretFile, "--jwt-algorithms=RS256"), "", []string{"jwt-public-key-file", "no PEM"}},
		{"no such key file", with("--jwt-public-key-file=/nonexistent", "--jwt-algorithms=RS256"), "", []string{"jwt-public-key-file", "/nonexistent"}},
		{"URL in plain text", with("--jwks-url=http://issuer.example.com", "--jwt-algorithms=RS256"), "", []string{"jwks-url", "not https"}},
		{"empty URL", with("--jwks-url=", "--jwt-algorithms=RS256"), "", []string{"jwks-url", "empty"}},

		{"time for no hook", []string{"--hook-timeout=1s"}, "", []string{"hook-timeout", "no hook"}},
		{"key for no hook", nil, "FANOUTD_HOOK_KEY=s3cr3t", []string{"hook-key", "no hook"}},
		{"empty hook", []string{"--hook="}, "", []string{"hook", "no hook"}},
		{"hook without port", []string{"--hook=localhost"}, "", []string{"hook", `"localhost"`, "HOST:PORT", "unix:/PATH"}},
		{"no calls at once", []string{"--hook=localhost:1", "--hook-concurrency=0"}, "", []string{"hook-concurrency", "1 to 10000"}},
		{"hook key with a blank", []string{"--hook=localhost:1", "--hook-key=s3cr3t x"}, "", []string{"hook-key", "blank"}},
		{"empty hook key", []string{"--hook=localhost:1", "--hook-key="}, "", []string{"hook-key", "empty"}},
		{"hook key twice", []string{"--hook=localhost:1", "--hook-key=s3cr3t", "--hook-key-file=" + secretFile}, "", []string{"hook-key-file", "hook-key is set too"}},
		{"no certificate", []string{"--hook=localhost:1", "--hook-ca=" + public}, "", []string{"hook-ca", "no certificate"}},
		{"certificate, but no TLS", []string{"--hook=localhost:1", "--hook-tls=false", "--hook-ca=" + certificateFile(t)}, "", []string{"hook-tls", "hook-ca is set too"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(tt.args, []string{tt.env})
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in: %v", want, err)
				}
			}
			if !strings.HasPrefix(err.Error(), tt.want[0]+" (") {
				t.Errorf("does not begin with the setting %s: %v", tt.want[0], err)
			}
			if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), jwtSecret) {
				t.Errorf("shows the secret: %v", err)
			}
		})
	}
}

func certificateFile(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

func TestAdmissionSettings(t *testing.T) {
	_, public := keyPair(t)
	tests := []struct {
		name string
		args []string
		ok   func(*config) bool
	}{
		{"nothing", nil, func(c *config) bool { return !c.tokens.on() && !c.hook.on() }},
		{"secret", tokenArgs(), func(c *config) bool { return c.tokens.on() && c.tokens.secret == jwtSecret }},
		{"secret in a file", []string{"--jwt-secret-file=" + writeFile(t, jwtSecret+"\r\n"), "--jwt-algorithms=HS256", "--jwt-issuer=me", "--jwt-audience=a,b"},
			func(c *config) bool { return c.tokens.secret == jwtSecret && len(c.tokens.audience) == 2 }},
		{"public key", []string{"--jwt-public-key-file=" + public, "--jwt-algorithms=ES256", "--jwt-issuer=me", "--jwt-audience=a"}, func(c *config) bool { return c.tokens.on() }},
		{"URL", []string{"--jwks-url=https://issuer.example.com/jwks", "--jwt-algorithms=ES256,RS256", "--jwt-issuer=me", "--jwt-audience=a", "--jwt-sources=query"},
			func(c *config) bool { return c.tokens.on() && len(c.tokens.sources) == 1 }},
		{"hook", []string{"--hook=localhost:9000", "--hook-timeout=30s"},
			func(c *config) bool {
				return c.hook.on() && !c.tokens.on() && c.hook.options(nil).TLS == nil && c.hook.address.Private()
			}},
		{"hook over TLS", []string{"--hook=unix:/run/x.sock", "--hook-tls", "--hook-key-file=" + writeFile(t, "k3y\n")},
			func(c *config) bool {
				o := c.hook.options(nil)
				return o.TLS != nil && o.TLS.RootCAs == nil && o.Key == "k3y" && o.Address == "unix:/run/x.sock"
			}},
		{"hook over TLS with a certificate", []string{"--hook=auth.example.com:9000", "--hook-ca=" + certificateFile(t)},
			func(c *config) bool { o := c.hook.options(nil); return o.TLS != nil && o.TLS.RootCAs != nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(tt.args, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !tt.ok(c) {
				t.Errorf("got %+v, %+v", c.tokens, c.hook)
			}
		})
	}
}

// A token in the query is for the verifier alone; without one it is nobody's
// secret, and consumers may look at it.
func TestSecretQuery(t *testing.T) {
	jwt := []string{"--jwt-algorithms", "HS256", "--jwt-secret", strings.Repeat("k", 32), "--jwt-issuer", "i", "--jwt-audience", "a"}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, nil},
		{jwt, nil},
		{append(jwt, "--jwt-sources", "query,auth"), []string{"token"}},
	} {
		c, err := load(tt.args, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.tokens.secretQuery(); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.args, got, tt.want)
		}
	}
}
