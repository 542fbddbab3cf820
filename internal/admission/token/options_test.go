package token

import (
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOptionsRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no issuer", func(o *Options) { o.Issuer = "" }, "issuer"},
		{"no audience", func(o *Options) { o.Audience = nil }, "audience"},
		{"an empty audience", func(o *Options) { o.Audience = []string{audience, ""} }, "audience"},
		{"no algorithm", func(o *Options) { o.Algorithms = nil }, "there are HS256, "},
		{"none", func(o *Options) { o.Algorithms = []string{"HS256", "none"} }, `"none": no such algorithm`},
		{"an unknown algorithm", func(o *Options) { o.Algorithms = []string{"hs256"} }, `"hs256": no such algorithm`},
		{"an unknown source", func(o *Options) { o.Locations = []Location{"cookie"} }, `"cookie"`},
		{"refreshing all the time", func(o *Options) { o.Refresh = time.Second }, "refresh"},

		{"no key", func(o *Options) { o.Secret = nil }, "one source of keys"},
		{"two keys", func(o *Options) { o.PublicKey = publicPEM(t, "rsa") }, "one source of keys"},
		{"a key and a set", func(o *Options) { o.JWKS = "https://issuer.example.com/jwks" }, "one source of keys"},
		{"a short secret", func(o *Options) { o.Secret = []byte("secret") }, "6 bytes and needs 32"},
		{"a secret too short for one", func(o *Options) { o.Secret, o.Algorithms = o.Secret[:32], []string{"HS256", "HS512"} }, "needs 64"},
		{"RSA with a secret", func(o *Options) { o.Algorithms = []string{"HS256", "RS256"} }, `"RS256": the key is of another sort: a secret`},

		{"HMAC with a public key", func(o *Options) { *o = publicOptions(t, "rsa", "HS256") }, "HMAC needs a secret"},
		{"HMAC beside RSA", func(o *Options) { *o = publicOptions(t, "rsa", "RS256", "HS256") }, "HMAC needs a secret"},
		{"ECDSA with an RSA key", func(o *Options) { *o = publicOptions(t, "rsa", "ES256") }, "RSA of 2048 bits"},
		{"another curve", func(o *Options) { *o = publicOptions(t, "p384", "ES256") }, "ECDSA on P-384"},
		{"RSA with Ed25519", func(o *Options) { *o = publicOptions(t, "ed25519", "EdDSA", "RS256") }, "Ed25519"},
		{"a weak RSA key", func(o *Options) { *o = publicOptions(t, "weak rsa", "RS256") }, "1024 bits"},
		{"a curve that JWT does not use", func(o *Options) { *o = publicOptions(t, "p224", "ES256") }, "does not use"},
		{"a private key", func(o *Options) { *o = publicOptions(t, "rsa", "RS256"); o.PublicKey = privatePEM(t, "rsa") }, "is a private one"},
		{"two public keys", func(o *Options) {
			*o = publicOptions(t, "rsa", "RS256")
			o.PublicKey = slices.Concat(o.PublicKey, o.PublicKey)
		}, "more than one"},
		{"no PEM", func(o *Options) { *o = publicOptions(t, "rsa", "RS256"); o.PublicKey = []byte("key") }, "no PEM"},
		{"a PEM of something else", func(o *Options) {
			*o = publicOptions(t, "rsa", "RS256")
			o.PublicKey = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"})
		}, `"CERTIFICATE"`},
		{"a PEM of nothing", func(o *Options) {
			*o = publicOptions(t, "rsa", "RS256")
			o.PublicKey = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY"})
		}, "the public key"},

		{"HMAC with a JWK Set", func(o *Options) { o.Secret, o.JWKS = nil, "https://issuer.example.com/jwks" }, "public keys"},
		{"a set over http", func(o *Options) { *o = setOptions("http://issuer.example.com/jwks") }, "not https"},
		{"a set over http at an address", func(o *Options) { *o = setOptions("http://10.0.0.1/jwks") }, "not https"},
		{"a set in a file", func(o *Options) { *o = setOptions("file:///etc/jwks.json") }, "not like https"},
		{"a path", func(o *Options) { *o = setOptions("/jwks") }, "not like https"},
		{"no URL", func(o *Options) { *o = setOptions("https://[") }, "not like https"},
		{"a password", func(o *Options) { *o = setOptions("https://user:" + secret + "@issuer.example.com/jwks") }, "password"},
		{"an unknown algorithm with a set", func(o *Options) { *o = setOptions("https://issuer.example.com/jwks"); o.Algorithms = []string{"none"} }, "no such algorithm"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			tt.change(&o)
			_, err := New(o)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want something with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), secret[:16]) {
				t.Errorf("shows the secret: %v", err)
			}
		})
	}
}

func TestSetURLsOnLoopback(t *testing.T) {
	for _, url := range []string{"http://localhost:9000/jwks", "http://127.0.0.1/jwks", "http://[::1]:9000/jwks", "https://issuer.example.com/jwks?v=1"} {
		newVerifier(t, setOptions(url))
	}
}
