package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Grant is what a minted token says.
type Grant struct {
	User  string
	Rooms []string
	Data  json.RawMessage // a JSON object; nil: none
	TTL   time.Duration   // how long it is good; seconds count
	KeyID string          // the kid of its header; empty: none
}

// Mint returns a token for development, signed so that the Verifier of o accept
// it: with o.Secret, or with private, an RSA, ECDSA or Ed25519 key in PEM. The
// first of o's algorithms that fits the key is used. It fails rather than
// return a token that would be refused; only whether a JWK Set has the key, which
// it does not fetch, it cannot tell.
func Mint(o Options, private []byte, g Grant) (string, error) {
	r, err := newRules(o)
	if err != nil {
		return "", err
	}
	if g.TTL < time.Second {
		return "", errors.New("token: the token would expire within a second")
	}
	m, signer, public, err := o.signer(private)
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	if o.JWKS != "" {
		r.keys = fixedKey{public: public}
	}
	now := time.Now()
	content := jwt.MapClaims{
		"iss": o.Issuer,
		"aud": o.Audience[0],
		"iat": jwt.NewNumericDate(now),
		"exp": jwt.NewNumericDate(now.Add(g.TTL)),
	}
	userClaim := r.userClaim
	if _, taken := content[userClaim]; taken || userClaim == roomsClaim || userClaim == dataClaim {
		return "", fmt.Errorf("token: the claim %.64q cannot hold the user too", userClaim)
	}
	content[userClaim] = g.User
	if len(g.Rooms) > 0 {
		content[roomsClaim] = g.Rooms
	}
	if g.Data != nil {
		content[dataClaim] = g.Data
	}
	unsigned := jwt.NewWithClaims(m, content)
	if g.KeyID != "" {
		unsigned.Header["kid"] = g.KeyID
	}
	token, err := unsigned.SignedString(signer)
	if err != nil {
		return "", fmt.Errorf("token: signing: %w", err)
	}
	v := &Verifier{}
	v.rules.Store(r)
	if _, err := v.Verify(context.Background(), token); err != nil {
		return "", fmt.Errorf("token: the token would be refused: %w", err)
	}
	return token, nil
}

// signer returns the key that signs, the one that verifies, and the algorithm.
func (o Options) signer(private []byte) (m jwt.SigningMethod, signer, public any, err error) {
	signer, public = o.Secret, o.Secret
	switch {
	case len(o.Secret) > 0 && len(private) > 0:
		return nil, nil, nil, errors.New("with a secret there is no private key")
	case len(o.Secret) == 0 && len(private) == 0:
		return nil, nil, nil, errors.New("the public key verifies only: a private key is needed to sign")
	case len(private) > 0:
		s, err := parsePrivate(private)
		if err != nil {
			return nil, nil, nil, err
		}
		signer, public = s, s.Public()
	}
	for _, alg := range o.Algorithms {
		if fits(alg, public) == nil {
			return method(alg), signer, public, nil
		}
	}
	return nil, nil, nil, fmt.Errorf("no configured algorithm fits the key, %s", describe(public))
}
