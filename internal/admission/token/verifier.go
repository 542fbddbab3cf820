package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	parser    *jwt.Parser
	keys      keySource
	userClaim string
	locations []Location
	keyWait   time.Duration

	counts counts
}

// New returns the Verifier of o. It fails on Options that are incomplete,
// contradict each other or are not safe; errors show no key. It fetches
// nothing: see [Verifier.Run].
func New(o Options) (*Verifier, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	keys, err := o.keySource()
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return &Verifier{
		parser: jwt.NewParser(
			jwt.WithValidMethods(o.Algorithms),
			jwt.WithIssuer(o.Issuer),
			jwt.WithAudience(o.Audience...),
			jwt.WithExpirationRequired(),
			jwt.WithLeeway(leeway),
			jwt.WithStrictDecoding(),
		),
		keys:      keys,
		userClaim: o.UserClaim,
		locations: o.Locations,
		keyWait:   o.KeyWait,
	}, nil
}

// Run fetches the JWK Set, again and again, until ctx ends; with a key of
// another source it returns at once. It is called once. Tokens verified before
// the first fetch has ended wait for it. No failure ends it: while there has
// never been a set, tokens are refused as [Unavailable].
func (v *Verifier) Run(ctx context.Context) {
	if s, ok := v.keys.(*keySet); ok {
		s.run(ctx)
	}
}

// Verify returns whom the token is for, or an [*Error]. With a JWK Set it may
// wait for fetches, until ctx ends or for 15 seconds.
func (v *Verifier) Verify(ctx context.Context, token string) (sio.Admission, error) {
	switch {
	case token == "":
		return sio.Admission{}, &Error{Code: Missing}
	case len(token) > maxToken:
		return sio.Admission{}, refuse(Invalid, "it has %d bytes; allowed: %d", len(token), maxToken)
	case strings.ContainsAny(token, "\r\n"):
		// encoding/base64 passes over them, so one token could be written in many ways.
		return sio.Admission{}, refuse(Invalid, "it has line breaks")
	}
	c := claims{}
	if _, err := v.parser.ParseWithClaims(token, &c, v.trusted(ctx)); err != nil {
		return sio.Admission{}, &Error{Code: code(err), Reason: err}
	}
	a, err := c.admission(v.userClaim)
	if err != nil {
		return sio.Admission{}, &Error{Code: Invalid, Reason: err}
	}
	// The parser's leeway is for clocks that are ahead of ours, not for this.
	if !time.Now().Before(a.Expire) {
		return sio.Admission{}, refuse(Expired, "at %v", a.Expire)
	}
	return a, nil
}

// trusted returns the function that finds the keys for a token, whose header
// and algorithm have been checked against what is configured by then.
func (v *Verifier) trusted(ctx context.Context) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		if _, ok := token.Header["crit"]; ok {
			return nil, errors.New("its header asks for extensions by crit")
		}
		if _, ok := token.Header["kid"].(string); !ok && token.Header["kid"] != nil {
			return nil, errors.New("the kid in its header is no string")
		}
		return v.keys.find(ctx, token)
	}
}

// code tells what the client may know. That a token has expired is told only if
// nothing else is wrong with it.
func code(err error) Code {
	if errors.Is(err, errUnavailable) {
		return Unavailable
	}
	for _, other := range []error{
		jwt.ErrTokenMalformed, jwt.ErrTokenUnverifiable, jwt.ErrTokenSignatureInvalid,
		jwt.ErrTokenRequiredClaimMissing, jwt.ErrTokenInvalidAudience, jwt.ErrTokenInvalidIssuer,
		jwt.ErrTokenNotValidYet,
	} {
		if errors.Is(err, other) {
			return Invalid
		}
	}
	if errors.Is(err, jwt.ErrTokenExpired) {
		return Expired
	}
	return Invalid
}
