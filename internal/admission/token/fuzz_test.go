package token

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// FuzzVerify: no token but those that were signed is accepted, in no other
// spelling either.
func FuzzVerify(f *testing.F) {
	far := object{"exp": time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC).Unix()}
	seeds := map[string]bool{}
	for _, c := range []object{good(far), good(far, object{"rooms": []string{"a"}, "data": object{"x": 1}})} {
		token := sign(f, "HS256", []byte(secret), nil, c)
		seeds[token] = true
		f.Add(token)
	}
	f.Add(sign(f, "HS256", []byte("another"), nil, good(far)))
	f.Add(segment(f, object{"alg": "none"}) + "." + segment(f, good(far)) + ".")
	f.Add("")
	f.Add("..")
	o := options()
	o.Algorithms = []string{"HS256", "HS384", "HS512"}
	tokens := newVerifier(f, o)
	f.Fuzz(func(t *testing.T, token string) {
		id, err := tokens.Verify(t.Context(), token)
		if err == nil && !seeds[token] {
			t.Errorf("accepted %q as %+v", token, id)
		}
	})
}

// FuzzFind: what is found was sent, and only what is switched on is looked at.
func FuzzFind(f *testing.F) {
	f.Add([]byte(`{"token":"a"}`), "q", "Bearer h")
	f.Add([]byte(`{"token":{"token":"a"}}`), "", "bearer  h ")
	f.Add([]byte(nil), "", "Basic x")
	o := options()
	o.Locations = Locations()
	all := newVerifier(f, o)
	some := newVerifier(f, options())
	f.Fuzz(func(t *testing.T, auth []byte, query, header string) {
		q := map[string]string{"token": query}
		got, want := all.find(request(auth, q, header)), some.find(request(auth, nil, ""))
		if want == "" {
			want = query
		}
		if want == "" {
			want = some.find(request(nil, nil, header))
		}
		if got != want {
			t.Errorf("found %q, want %q", got, want)
		}
		if h := some.find(request(nil, q, header)); h != "" && !strings.HasSuffix(strings.TrimRight(header, " "), h) {
			t.Errorf("found %q in the header %q", h, header)
		}
		if a := some.find(request(auth, q, "")); a != "" && !json.Valid(auth) {
			t.Errorf("found %q in what is no JSON: %q", a, auth)
		}
	})
}

// FuzzParseSet: whatever is published, only keys that may be trusted come out.
func FuzzParseSet(f *testing.F) {
	for _, name := range []string{"rsa", "weak rsa", "p256", "p521", "ed25519"} {
		f.Add(setOf(f, jwkOf(f, name, "k")))
	}
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"},{"kty":"EC","crv":"P-256"},null,1]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, skipped, err := parseSet(text)
		if _, used, err := publish(keys, Algorithms()); err != nil || used != len(keys) {
			t.Errorf("%d of %d keys are used, %v", used, len(keys), err)
		}
		if err != nil && len(keys)+len(skipped) > 0 {
			t.Error("an error, and keys")
		}
		for _, k := range keys {
			if err := checkPublic(k.Key()); err != nil {
				t.Error(err)
			}
			for _, alg := range Algorithms() {
				if serves(k, alg) && isSymmetric(alg) {
					t.Errorf("a published key serves %s", alg)
				}
			}
		}
	})
}
