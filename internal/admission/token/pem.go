package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// source is where the keys come from.
type source interface {
	// check returns nil if keys of this source may serve the algorithm.
	check(alg string) error
	// find returns the keys that a token may be signed with, given the kid of
	// its header. It may block until ctx ends. errUnavailable: nobody knows.
	find(ctx context.Context, kid string) ([]key, error)
}

// key is a trusted one.
type key struct {
	id     string // kid; may be empty, and need not be unique
	alg    string // the only one it is for; empty: any that fits
	public any    // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey; of HMAC the secret, []byte
}

// serves reports whether a token of this algorithm may be verified with k.
func (k key) serves(alg string) bool {
	return (k.alg == "" || k.alg == alg) && fits(alg, k.public) == nil
}

// fixed is the source of one key, whatever the kid of a token.
type fixed key

var _ source = fixed{}

func (f fixed) check(alg string) error { return fits(alg, f.public) }

func (f fixed) find(context.Context, string) ([]key, error) { return []key{key(f)}, nil }

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

// parsePublic reads one public key in PEM.
func parsePublic(text []byte) (any, error) {
	block, err := onePEM(text)
	if err != nil {
		return nil, fmt.Errorf("the public key: %w", err)
	}
	var public any
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		return nil, errors.New("the public key is a private one: keep it where tokens are signed; openssl pkey -pubout makes the public key")
	default:
		err = fmt.Errorf("a PEM block %.32q", block.Type)
	}
	if err == nil {
		err = checkPublic(public)
	}
	if err != nil {
		return nil, fmt.Errorf("the public key: %w", err)
	}
	return public, nil
}

// parsePrivate reads one private key in PEM; its errors show nothing of it.
func parsePrivate(text []byte) (crypto.Signer, error) {
	block, err := onePEM(text)
	if err != nil {
		return nil, fmt.Errorf("the private key: %w", err)
	}
	var private any
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		err = fmt.Errorf("a PEM block %.32q", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("the private key: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key signs nothing")
	}
	if err := checkPublic(signer.Public()); err != nil {
		return nil, fmt.Errorf("the private key: %w", err)
	}
	return signer, nil
}

// onePEM returns the only block of text. A second one that counts for nothing
// would be somebody's mistake.
func onePEM(text []byte) (*pem.Block, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM, as in -----BEGIN PUBLIC KEY-----")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("more than one PEM block")
	}
	return block, nil
}
