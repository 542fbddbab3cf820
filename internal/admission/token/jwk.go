package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// maxKeys bounds a JWK Set: issuers publish two or three, large ones a dozen. It
// also bounds how many signatures one token may make us verify, since all of
// them could have one kid.
const maxKeys = 64

// parseSet reads a JWK Set. What is no key for verifying JWTs is skipped, as
// RFC 7517, 5 asks; skipped says why. A set without any such key is valid.
func parseSet(text []byte) (keys []key, skipped []error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, nil, fmt.Errorf("no JWK Set: %w", err)
	}
	if set.Keys == nil {
		return nil, nil, errors.New("no JWK Set: it has no keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("a JWK Set of %d keys; allowed: %d", len(set.Keys), maxKeys)
	}
	for i, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, skipped, nil
}

// jwk is a JSON Web Key, as far as it matters here (RFC 7517, 4; RFC 7518, 6;
// RFC 8037, 2).
type jwk struct {
	Type       string   `json:"kty"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	ID         string   `json:"kid"`
	Curve      string   `json:"crv"`
	X          coded    `json:"x"`
	Y          coded    `json:"y"`
	N          coded    `json:"n"`
	E          coded    `json:"e"`
	D          *string  `json:"d"` // the private part
}

// coded is bytes in base64url.
type coded []byte

func (c *coded) UnmarshalJSON(text []byte) error {
	var s string
	err := json.Unmarshal(text, &s)
	if err == nil {
		*c, err = base64.RawURLEncoding.Strict().DecodeString(s)
	}
	return err
}

func parseJWK(text []byte) (key, error) {
	var j jwk
	if err := json.Unmarshal(text, &j); err != nil {
		return key{}, err
	}
	switch {
	case j.D != nil:
		return key{}, errors.New("its private part is published, so anybody can sign with it")
	case j.Use != "" && j.Use != "sig",
		len(j.Operations) > 0 && !slices.Contains(j.Operations, "verify"):
		return key{}, errors.New("not for signatures")
	}
	public, err := j.public()
	if err == nil {
		err = checkPublic(public)
	}
	if err != nil {
		return key{}, err
	}
	if j.Algorithm == "Ed25519" { // its name since RFC 9864
		j.Algorithm = "EdDSA"
	}
	return key{id: j.ID, alg: j.Algorithm, public: public}, nil
}

func (j *jwk) public() (any, error) {
	switch j.Type {
	case "RSA":
		if len(j.N) > maxRSA/8+1 || len(j.E) == 0 || len(j.E) > 4 {
			return nil, errors.New("an RSA key of no usual size")
		}
		e := new(big.Int).SetBytes(j.E).Int64()
		if e > 1<<31-1 { // what crypto/rsa takes
			return nil, errors.New("an RSA key whose exponent is too large")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(j.N), E: int(e)}, nil
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Curve]
		if curve == nil {
			return nil, fmt.Errorf("the unknown curve %.16q", j.Curve)
		}
		if size := (curve.Params().BitSize + 7) / 8; len(j.X) != size || len(j.Y) != size {
			return nil, fmt.Errorf("coordinates that do not have the %d bytes of %s", size, j.Curve)
		}
		return ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, j.X, j.Y))
	case "OKP":
		if j.Curve != "Ed25519" || len(j.X) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("no Ed25519 key, but %.16q", j.Curve)
		}
		return ed25519.PublicKey(j.X), nil
	}
	// A secret, oct, in a public set is a secret no more.
	return nil, fmt.Errorf("no public key, but %.16q", j.Type)
}
