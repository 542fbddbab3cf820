package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
)

const (
	issuer   = "https://issuer.example.com"
	audience = "fanoutd"
	secret   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// signers are keys of every sort, made once for all tests.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	all := map[string]crypto.Signer{}
	for name, bits := range map[string]int{"rsa": 2048, "rsa2": 2048, "weak rsa": 1024} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		all[name] = k
	}
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521(), "p224": elliptic.P224()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		all[name] = k
	}
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	all["ed25519"] = k
	return all
})

func publicPEM(t testing.TB, name string) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(signers()[name].Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func privatePEM(t testing.TB, name string) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(signers()[name])
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// options are valid, for a secret.
func options() Options {
	return Options{
		Algorithms: []string{"HS256"}, Secret: []byte(secret),
		Issuer: issuer, Audience: []string{audience},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// publicOptions are valid, for a public key.
func publicOptions(t testing.TB, key string, algorithms ...string) Options {
	o := options()
	o.Secret, o.PublicKey, o.Algorithms = nil, publicPEM(t, key), algorithms
	return o
}

func newVerifier(t testing.TB, o Options) *Verifier {
	t.Helper()
	tokens, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// good returns claims that are accepted, with some changed; nil takes one out.
func good(changes ...map[string]any) map[string]any {
	c := map[string]any{"iss": issuer, "aud": audience, "sub": "42", "exp": time.Now().Add(time.Hour).Unix()}
	for _, change := range changes {
		maps.Copy(c, change)
	}
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

type object = map[string]any

// sign makes a token, whatever its header and claims are.
func sign(t testing.TB, alg string, key any, header, claims object) string {
	t.Helper()
	m := jwt.GetSigningMethod(alg)
	h := object{"typ": "JWT", "alg": alg}
	maps.Copy(h, header)
	text := segment(t, h) + "." + segment(t, claims)
	sig, err := m.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func segment(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// accepts fails the test unless the token is good.
func accepts(t testing.TB, tokens *Verifier, token string) sio.Admission {
	t.Helper()
	id, err := tokens.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return id
}

// refuses fails the test unless the token is refused with this code, for this
// reason, and without showing the token to anybody.
func refuses(t testing.TB, tokens *Verifier, token string, want Code, reason string) {
	t.Helper()
	id, err := tokens.Verify(t.Context(), token)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("accepted as %+v, %v", id, err)
	}
	if e.Code != want || !strings.Contains(err.Error(), reason) {
		t.Errorf("got code %q and error %q, want %q and %q", e.Code, err, want, reason)
	}
	if id.User != "" || id.Rooms != nil || id.Data != nil || !id.Expire.IsZero() {
		t.Errorf("a refused token says %+v", id)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
}

// request is a connection that brings these as auth, in its query and as the
// header Authorization.
func request(auth []byte, query map[string]string, authorization string) *admission.Request {
	return &admission.Request{Auth: auth, Authorization: authorization, SecretQuery: func(name string) string { return query[name] }}
}
