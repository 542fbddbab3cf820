package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
)

// jwkOf is the JSON Web Key of a public key, with some members changed; nil
// takes one out.
func jwkOf(t testing.TB, name, kid string, changes ...object) object {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	j := object{"kid": kid}
	switch k := signers()[name].Public().(type) {
	case *rsa.PublicKey:
		maps.Copy(j, object{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())})
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
		maps.Copy(j, object{"kty": "EC", "crv": k.Curve.Params().Name, "x": b64(x), "y": b64(y)})
	case ed25519.PublicKey:
		maps.Copy(j, object{"kty": "OKP", "crv": "Ed25519", "x": b64(k)})
	}
	for _, c := range changes {
		maps.Copy(j, c)
	}
	maps.DeleteFunc(j, func(_ string, v any) bool { return v == nil })
	return j
}

// setOf is a JWK Set.
func setOf(t testing.TB, keys ...object) []byte {
	t.Helper()
	if keys == nil {
		keys = []object{}
	}
	b, err := json.Marshal(object{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseSet(t *testing.T) {
	for _, name := range []string{"rsa", "p256", "p384", "p521", "ed25519"} {
		t.Run(name, func(t *testing.T) {
			keys, skipped, err := parseSet(setOf(t, jwkOf(t, name, "k", object{"use": "sig", "key_ops": []string{"verify"}, "x5t": "ignored", "x5c": []string{"ignored"}, "x5u": "http://ignored"})))
			if err != nil || len(skipped) > 0 || len(keys) != 1 || keys[0].Marshal().KID != "k" || keys[0].Marshal().ALG != "" {
				t.Fatalf("got %v, %v, %v", keys, skipped, err)
			}
			if k := signers()[name].Public().(interface{ Equal(crypto.PublicKey) bool }); !k.Equal(keys[0].Key()) {
				t.Error("reads another key")
			}
		})
	}
	keys, _, err := parseSet(setOf(t, jwkOf(t, "ed25519", "", object{"alg": "Ed25519"}), jwkOf(t, "rsa", "r", object{"alg": "PS256"})))
	if err != nil || len(keys) != 2 || !serves(keys[0], "EdDSA") || serves(keys[1], "RS256") || !serves(keys[1], "PS256") {
		t.Errorf("got %v, %v", keys, err)
	}
}

func TestParseSetSkips(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	large := append([]byte{1}, make([]byte, maxRSA/8)...)
	tests := []struct {
		name string
		key  object
		want string
	}{
		{"for encryption", jwkOf(t, "rsa", "k", object{"use": "enc"}), "not for signatures"},
		{"for other operations", jwkOf(t, "rsa", "k", object{"key_ops": []string{"encrypt"}}), "not for signatures"},
		{"a private key", jwkOf(t, "p256", "k", object{"d": "AQAB"}), "private part"},
		{"a secret", object{"kty": "oct", "k": b64([]byte(secret))}, `"oct"`},
		{"no type", jwkOf(t, "rsa", "k", object{"kty": nil}), "unsupported key"},
		{"an unknown type", object{"kty": "AKP"}, "AKP"},
		{"a weak RSA key", jwkOf(t, "weak rsa", "k"), "1024 bits"},
		{"a huge RSA key", jwkOf(t, "rsa", "k", object{"n": b64(large)}), "8193 bits"},
		{"a larger RSA key", jwkOf(t, "rsa", "k", object{"n": b64(append(large, 1))}), "8201 bits"},
		{"no exponent", jwkOf(t, "rsa", "k", object{"e": nil}), `requires parameters "n" and "e"`},
		{"exponent 1", jwkOf(t, "rsa", "k", object{"e": b64([]byte{1})}), `"e" is out of range`},
		{"an even exponent", jwkOf(t, "rsa", "k", object{"e": b64([]byte{4})}), "exponent"},
		{"a large exponent", jwkOf(t, "rsa", "k", object{"e": b64([]byte{0xff, 0xff, 0xff, 0xff})}), `"e" is out of range`},
		{"an exponent of nine bytes", jwkOf(t, "rsa", "k", object{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}), "E in marshal does not match"},
		{"no base64", jwkOf(t, "rsa", "k", object{"n": "+/=="}), "base64"},
		{"a number", jwkOf(t, "rsa", "k", object{"n": 1}), "string"},
		{"an unknown curve", jwkOf(t, "p256", "k", object{"crv": "secp256k1"}), `"secp256k1"`},
		{"another curve", jwkOf(t, "p256", "k", object{"crv": "P-384"}), "not on the specified curve"},
		{"half a coordinate", jwkOf(t, "p256", "k", object{"x": b64(make([]byte, 16))}), "not on the specified curve"},
		{"a point beside the curve", jwkOf(t, "p256", "k", object{"x": b64(make([]byte, 32))}), "not on the specified curve"},
		{"X25519", jwkOf(t, "ed25519", "k", object{"crv": "X25519"}), "ecdh"},
		{"a short Ed25519 key", jwkOf(t, "ed25519", "k", object{"x": "AQAB"}), "should be 32 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, skipped, err := parseSet(setOf(t, tt.key, jwkOf(t, "ed25519", "good")))
			if err != nil || len(keys) != 1 || keys[0].Marshal().KID != "good" || len(skipped) != 1 {
				t.Fatalf("got %v, %v, %v", keys, skipped, err)
			}
			if got := skipped[0].Error(); !strings.Contains(got, tt.want) || !strings.Contains(got, "key 1") {
				t.Errorf("got %q, want something with %q", got, tt.want)
			}
		})
	}
}

func TestParseSetRefuses(t *testing.T) {
	many := bytes.Repeat([]byte(`{"kty":"oct"},`), maxKeys+1)
	for text, want := range map[string]string{
		``:                   "no JWK Set",
		`{}`:                 "it has no keys",
		`{"keys":null}`:      "it has no keys",
		`{"keys":{}}`:        "no JWK Set",
		`[]`:                 "no JWK Set",
		`<html>`:             "no JWK Set",
		`{"keys":[]} x`:      "no JWK Set",
		`{"error":"not yet"`: "no JWK Set",
		fmt.Sprintf(`{"keys":[%s]}`, bytes.TrimSuffix(many, []byte(","))): "65 keys",
	} {
		if keys, _, err := parseSet([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: got %v, %v", text, keys, err)
		}
	}
}
