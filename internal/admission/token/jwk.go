package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

// maxKeys bounds a JWK Set: issuers publish two or three, large ones a dozen. It
// also bounds how many signatures one token may make us verify, since one that
// names no key is tried with all.
const maxKeys = 64

// errNoKey: there is no key that could have signed the token.
var errNoKey = errors.New("no key")

// parseSet reads a JWK Set. What is no key for verifying JWTs is skipped, as
// RFC 7517, 5 asks; skipped says why. A set without any such key is valid.
func parseSet(text []byte) (keys []jwkset.JWK, skipped []error, err error) {
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

// parseJWK reads one public key. The library reads private keys and secrets too,
// and keys for other purposes; none of them is to be trusted by.
func parseJWK(text []byte) (jwkset.JWK, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(text, &m); err != nil {
		return jwkset.JWK{}, err
	}
	switch {
	case m.D != "":
		return jwkset.JWK{}, errors.New("its private part is published, so anybody can sign with it")
	case m.KTY == jwkset.KtyOct:
		return jwkset.JWK{}, errors.New(`no public key, but a secret, "oct", which is a secret no more`)
	case m.USE != "" && m.USE != jwkset.UseSig,
		len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return jwkset.JWK{}, errors.New("not for signatures")
	}
	if m.ALG == "Ed25519" { // its name since RFC 9864
		m.ALG = jwkset.AlgEdDSA
	}
	// A key counts because the issuer publishes it, not because of a certificate:
	// one that cannot be read is no reason to lose the key.
	m.X5U, m.X5C, m.X5T, m.X5TS256 = "", nil, "", ""
	k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipKeyOps: true})
	if err != nil {
		return jwkset.JWK{}, err
	}
	return k, checkPublic(k.Key())
}

// serves reports whether a token of this algorithm may be verified with a key.
func serves(k jwkset.JWK, alg string) bool {
	only := k.Marshal().ALG.String() // empty: any that fits
	return (only == "" || only == alg) && fits(alg, k.Key()) == nil
}

// publishedKeys finds the keys of one JWK Set, for each algorithm among those that
// serve it, so that an algorithm and a key that does not fit it never meet. It is
// not changed.
type publishedKeys map[string]keyfunc.Keyfunc

// publish makes the keys ready to be found by tokens of these algorithms; used is
// how many serve any. Of several for one algorithm with the same kid, which should
// be distinct (RFC 7517, 4.5), a token that names it is tried with the first.
func publish(keys []jwkset.JWK, algorithms []string) (p publishedKeys, used int, err error) {
	p = publishedKeys{}
	counted := map[int]bool{}
	for _, alg := range algorithms {
		var serving []jwkset.JWK
		for i, k := range keys {
			if serves(k, alg) {
				serving, counted[i] = append(serving, k), true
			}
		}
		if len(serving) == 0 {
			continue
		}
		storage := &jwkset.MemoryJWKSet{}
		if err := storage.KeyReplaceAll(context.Background(), serving); err != nil {
			return nil, 0, err
		}
		if p[alg], err = keyfunc.New(keyfunc.Options{Storage: storage}); err != nil {
			return nil, 0, err
		}
	}
	return p, len(counted), nil
}

// find returns what may have signed the token: the key that it names, or all if it
// names none. errNoKey: there is none.
func (p publishedKeys) find(t *jwt.Token) (any, error) {
	alg := t.Method.Alg()
	if f := p[alg]; f != nil {
		key, err := f.Keyfunc(t)
		if !errors.Is(err, jwkset.ErrKeyNotFound) {
			return key, err
		}
	}
	kid, _ := t.Header["kid"].(string)
	return nil, fmt.Errorf("%w with the kid %.64q for %s", errNoKey, kid, alg)
}
