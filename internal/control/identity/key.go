package identity

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// Key is what a caller is known by, and what it may do: a bearer key, by itself or by
// its hash, or the name of a certificate.
type Key struct {
	// Name is the caller's name. Several keys may have the same one, so that a caller
	// stays itself during a rotation. Empty only of a certificate: then the caller has
	// that of the certificate.
	Name string

	// Secret is the bearer key that the caller sends.
	Secret string

	// Hash is the SHA-256 of the bearer key, for who does not have the key itself.
	Hash [sha256.Size]byte

	// Certificate is a name in the certificate that the caller shows: a name of DNS, a
	// URI or the common name; or a pattern of them, as in Rights.Namespaces.
	Certificate string

	Rights
}

// Digest returns the SHA-256 of the bearer key, zero if it is a certificate.
func (k *Key) Digest() [sha256.Size]byte {
	if k.Secret == "" {
		return k.Hash
	}
	return sha256.Sum256([]byte(k.Secret))
}

// credential is a Key in use.
type credential struct {
	name        string
	hash        [sha256.Size]byte // zero: it is a certificate
	certificate string            // empty: it is a bearer key
	rights      Rights

	ended chan struct{} // closed when it is valid no longer
}

func newCredential(k *Key) (*credential, error) {
	hashed := k.Hash != [sha256.Size]byte{}
	switch {
	case k.Certificate != "" && (k.Secret != "" || hashed), k.Secret != "" && hashed:
		return nil, errors.New("is two things at once: a key, its hash or a certificate")
	case k.Certificate == "" && k.Secret == "" && !hashed, strings.TrimSpace(k.Secret) != k.Secret:
		return nil, errors.New("is empty or has blanks around it")
	}
	return &credential{
		name: k.Name, hash: k.Digest(), certificate: k.Certificate, rights: k.Rights.withSlashes(), ended: make(chan struct{}),
	}, nil
}

// equal reports whether both let the same callers do the same.
func (c *credential) equal(o *credential) bool {
	return c.name == o.name && c.hash == o.hash && c.certificate == o.certificate && c.rights.equal(&o.rights)
}

// principal is who brings it; name is that of the certificate, if it is one.
func (c *credential) principal(name string) Principal {
	if c.name != "" || c.certificate == "" {
		name = c.name
	}
	return Principal{Name: name, rights: &c.rights, ended: c.ended}
}

// newCredentials makes keys ready for use. Its errors do not repeat them.
func newCredentials(keys []Key) ([]*credential, error) {
	list := make([]*credential, len(keys))
	seen := map[string]int{}
	for i := range keys {
		c, err := newCredential(&keys[i])
		if err != nil {
			return nil, fmt.Errorf("key %d %w", i+1, err)
		}
		what := c.certificate
		if what == "" {
			what = string(c.hash[:])
		}
		if seen[what] > 0 {
			return nil, fmt.Errorf("keys %d and %d are the same", seen[what], i+1)
		}
		seen[what], list[i] = i+1, c
	}
	return list, nil
}
