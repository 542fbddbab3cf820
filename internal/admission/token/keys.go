package token

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// keySource is where the keys come from.
type keySource interface {
	// check returns nil if keys of this source may serve the algorithm.
	check(alg string) error
	// find returns what may have signed a token, whose header and algorithm have
	// been checked: one key, or a jwt.VerificationKeySet. All of them serve its
	// algorithm. It may block until ctx ends. errUnavailable: nobody knows.
	find(ctx context.Context, t *jwt.Token) (any, error)
	// ready reports whether there were ever keys to find.
	ready() bool
}

// fixedKey is the source of one key, whatever the kid of a token.
type fixedKey struct{ public any } // of HMAC the secret, []byte

var _ keySource = fixedKey{}

func (k fixedKey) check(alg string) error { return fits(alg, k.public) }

func (k fixedKey) find(context.Context, *jwt.Token) (any, error) { return k.public, nil }

func (fixedKey) ready() bool { return true }

// Bounds of RSA keys: below they are weak (RFC 7518, 3.3), above each token
// costs too much to verify (the bound of crypto/tls, CVE-2023-29409).
const (
	minRSA = 2048 // bits
	maxRSA = 8192
)

// checkPublic returns nil if key is one to trust tokens by.
func checkPublic(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return fmt.Errorf("an RSA key of %d bits; allowed: %d to %d", n, minRSA, maxRSA)
		}
		if k.E < 3 || k.E%2 == 0 {
			return errors.New("an RSA key whose exponent is not odd and above 2")
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < 256 {
			return errors.New("an ECDSA key on a curve that JWT does not use")
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("a key of a sort that JWT does not sign with: %T", key)
}
