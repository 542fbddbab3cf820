package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// Verifier verifies tokens. It is safe for concurrent use.
type Verifier struct {
	rules  atomic.Pointer[rules]
	counts counts
}

// rules are what tokens are verified by, immutable.
type rules struct {
	parser    *jwt.Parser
	keys      keySource
	userClaim string
	locations []Location
	keyWait   time.Duration
}

// New returns the Verifier of o. It fails on Options that are incomplete,
// contradict each other or are not safe; errors show no key. It fetches
// nothing: see [Verifier.Run].
func New(o Options) (*Verifier, error) {
	r, err := newRules(o)
	if err != nil {
		return nil, err
	}
	v := &Verifier{}
	v.rules.Store(r)
	return v, nil
}

func newRules(o Options) (*rules, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	keys, err := o.keySource()
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return &rules{
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

// ErrOtherKeySet is what [Verifier.Replace] returns if the JWK Set that keys come from is not
// the one that is being fetched, or there was none, or there is none any more.
var ErrOtherKeySet = errors.New("token: another JWK Set takes a new Verifier")

// Replace has tokens verified by o from now on. Tokens that are good by what was before and
// not by o are refused from then on; connections that such tokens opened stay. A JWK Set
// has to be the one that there is, and for the same algorithms: else all is as before, and
// the error is [ErrOtherKeySet]. It may also be any of [New]; after one all is as before.
// It is not called twice at once.
func (v *Verifier) Replace(o Options) error {
	next, err := newRules(o)
	if err != nil {
		return err
	}
	was, hadSet := v.rules.Load().keys.(*keySet)
	is, hasSet := next.keys.(*keySet)
	switch {
	case hadSet != hasSet, hasSet && (was.url != is.url || !slices.Equal(was.algorithms, is.algorithms)):
		return ErrOtherKeySet
	case hasSet:
		next.keys = was // which is being fetched
	}
	v.rules.Store(next)
	return nil
}

// Run fetches the JWK Set, again and again, until ctx ends; with a key of
// another source it returns at once. It is called once. Tokens verified before
// the first fetch has ended wait for it. No failure ends it: while there has
// never been a set, tokens are refused as [Unavailable].
func (v *Verifier) Run(ctx context.Context) {
	if s, ok := v.rules.Load().keys.(*keySet); ok {
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
	c, r := claims{}, v.rules.Load()
	if _, err := r.parser.ParseWithClaims(token, &c, r.trusted(ctx)); err != nil {
		return sio.Admission{}, &Error{Code: code(err), Reason: err}
	}
	a, err := c.admission(r.userClaim)
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
func (r *rules) trusted(ctx context.Context) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		if _, ok := token.Header["crit"]; ok {
			return nil, errors.New("its header asks for extensions by crit")
		}
		if _, ok := token.Header["kid"].(string); !ok && token.Header["kid"] != nil {
			return nil, errors.New("the kid in its header is no string")
		}
		return r.keys.find(ctx, token)
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
