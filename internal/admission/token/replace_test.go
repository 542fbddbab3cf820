package token

import (
	"errors"
	"strings"
	"testing"
)

// What replaces the options is what tokens are verified by, and what may not leaves
// everything as it was.
func TestReplace(t *testing.T) {
	const second = "another secret, which is long enough for SHA-256 too"
	v := newVerifier(t, options())
	old := sign(t, "HS256", []byte(secret), nil, good())
	accepts(t, v, old)

	o := options()
	o.Secret, o.Issuer, o.UserClaim = []byte(second), "https://other.example", "uid"
	if err := v.Replace(o); err != nil {
		t.Fatal(err)
	}
	refuses(t, v, old, Invalid, "signature is invalid")
	next := sign(t, "HS256", []byte(second), nil, good(object{"iss": "https://other.example", "uid": "7"}))
	if a := accepts(t, v, next); a.User != "7" {
		t.Errorf("the user is %q", a.User)
	}

	for name, change := range map[string]func(*Options){
		"a short secret": func(o *Options) { o.Secret = []byte("short") },
		"no issuer":      func(o *Options) { o.Issuer = "" },
		"another source": func(o *Options) {
			o.Secret, o.JWKS, o.Algorithms = nil, "https://issuer.example/jwks", []string{"RS256"}
		},
		"no key any more": func(o *Options) { o.Secret = nil },
	} {
		bad := options()
		change(&bad)
		if err := v.Replace(bad); err == nil || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%s: %v", name, err)
		}
		accepts(t, v, next)
	}
}

// A JWK Set that stays goes on being the one that is fetched.
func TestReplaceKeySet(t *testing.T) {
	o := options()
	o.Secret, o.JWKS, o.Algorithms = nil, "https://issuer.example/jwks", []string{"RS256"}
	v := newVerifier(t, o)
	before := v.rules.Load().keys
	o.Audience = []string{"another"}
	if err := v.Replace(o); err != nil {
		t.Fatal(err)
	}
	if v.rules.Load().keys != before {
		t.Error("the set is another one, which nobody fetches")
	}
	for name, change := range map[string]func(*Options){
		"another URL":           func(o *Options) { o.JWKS += "2" },
		"another algorithm":     func(o *Options) { o.Algorithms = []string{"ES256"} },
		"a secret in its place": func(o *Options) { o.JWKS, o.Secret, o.Algorithms = "", []byte(secret), []string{"HS256"} },
	} {
		other := o
		change(&other)
		if err := v.Replace(other); !errors.Is(err, ErrOtherKeySet) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
