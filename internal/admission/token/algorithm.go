package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// algorithms are those that may be configured. The name none is not among them.
var algorithms = []string{
	"HS256", "HS384", "HS512",
	"RS256", "RS384", "RS512",
	"PS256", "PS384", "PS512",
	"ES256", "ES384", "ES512",
	"EdDSA",
}

// Algorithms returns the names of the algorithms that may be configured.
func Algorithms() []string { return slices.Clone(algorithms) }

// errUnknownAlgorithm is a name that is none of [Algorithms].
var errUnknownAlgorithm = errors.New("no such algorithm")

// method returns the algorithm of this name, nil if there is none.
func method(alg string) jwt.SigningMethod {
	if !slices.Contains(algorithms, alg) {
		return nil
	}
	return jwt.GetSigningMethod(alg)
}

// isSymmetric reports whether the same key signs and verifies.
func isSymmetric(alg string) bool {
	_, ok := method(alg).(*jwt.SigningMethodHMAC)
	return ok
}

// fits returns nil if key, a []byte for HMAC or else a public key, is of the
// sort and size that the algorithm asks for. An algorithm and a key never meet
// without it.
func fits(alg string, key any) error {
	switch m := method(alg).(type) {
	case nil:
		return errUnknownAlgorithm
	case *jwt.SigningMethodHMAC:
		secret, ok := key.([]byte)
		if !ok {
			return errors.New("HMAC needs a secret: a public key is none")
		}
		if n := m.Hash.Size(); len(secret) < n {
			return fmt.Errorf("the secret has %d bytes and needs %d at least; openssl rand -base64 48 makes a good one", len(secret), n)
		}
		return nil
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
		if _, ok := key.(*rsa.PublicKey); ok {
			return nil
		}
	case *jwt.SigningMethodECDSA:
		// One curve for each (RFC 7518, 3.4), or a signature of another size.
		if k, ok := key.(*ecdsa.PublicKey); ok && k.Curve.Params().BitSize == m.CurveBits {
			return nil
		}
	case *jwt.SigningMethodEd25519:
		if _, ok := key.(ed25519.PublicKey); ok {
			return nil
		}
	}
	return fmt.Errorf("the key is of another sort: %s", describe(key))
}

// describe names the sort of a key, and nothing of what is in it.
func describe(key any) string {
	switch k := key.(type) {
	case []byte:
		return "a secret"
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA of %d bits", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA on " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", key)
}
