package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/admission"
	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestAlgorithms(t *testing.T) {
	keys := map[string]string{
		"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
		"ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed25519",
	}
	for _, alg := range Algorithms() {
		t.Run(alg, func(t *testing.T) {
			var signer any = []byte(secret)
			o := options()
			o.Algorithms = []string{alg}
			if name := keys[alg]; name != "" {
				signer = signers()[name]
				o = publicOptions(t, name, alg)
			}
			tokens := newVerifier(t, o)
			token := sign(t, alg, signer, object{"kid": "any"}, good())
			if id := accepts(t, tokens, token); id.User != "42" || time.Until(id.Expire) > time.Hour {
				t.Errorf("got %+v", id)
			}

			text, sig, _ := cutLast(token)
			raw, err := base64.RawURLEncoding.DecodeString(sig)
			if err != nil {
				t.Fatal(err)
			}
			raw[len(raw)/2] ^= 1
			refuses(t, tokens, text+"."+base64.RawURLEncoding.EncodeToString(raw), Invalid, "signature is invalid")
		})
	}
}

func cutLast(token string) (text, sig string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	return token[:i], token[i+1:], i > 0
}

// TestAttacks: an attacker that holds the public key, other tokens of the issuer or a
// keyboard gets nowhere.
func TestAttacks(t *testing.T) {
	rsaTokens := newVerifier(t, publicOptions(t, "rsa", "RS256", "PS256"))
	hmacTokens := newVerifier(t, options())
	ecTokens := newVerifier(t, publicOptions(t, "p256", "ES256"))

	hour := time.Now().Add(time.Hour).Unix()
	hs := func(header, claims object) string { return sign(t, "HS256", []byte(secret), header, claims) }
	valid := hs(nil, good())
	head, sig, _ := cutLast(valid)
	payload := head[strings.IndexByte(head, '.')+1:]
	unsigned := func(alg any) string {
		return segment(t, object{"alg": alg, "typ": "JWT"}) + "." + payload + "."
	}
	rs := sign(t, "RS256", signers()["rsa"], nil, good())
	rsHead, rsSig, _ := cutLast(rs)
	rsPayload := rsHead[strings.IndexByte(rsHead, '.')+1:]

	tests := []struct {
		name   string
		tokens *Verifier
		token  string
		code   Code
		reason string
	}{
		{"none at all", hmacTokens, "", Missing, ""},

		{"expired", hmacTokens, hs(nil, good(object{"exp": time.Now().Unix() - 3600})), Expired, "expired"},
		{"expires now", hmacTokens, hs(nil, good(object{"exp": time.Now().Unix()})), Expired, ""},
		{"expired within the leeway", hmacTokens, hs(nil, good(object{"exp": time.Now().Unix() - 5})), Expired, ""},
		{"expired, for somebody else", hmacTokens, hs(nil, good(object{"exp": 1, "aud": "other"})), Invalid, "audience"},
		{"expired, forged", hmacTokens, sign(t, "HS256", []byte("guess"), nil, good(object{"exp": 1})), Invalid, "signature"},
		{"not valid yet", hmacTokens, hs(nil, good(object{"nbf": hour - 60})), Invalid, "not valid yet"},
		{"wrong audience", hmacTokens, hs(nil, good(object{"aud": "billing"})), Invalid, "audience"},
		{"wrong audiences", hmacTokens, hs(nil, good(object{"aud": []string{"billing", "Fanoutd"}})), Invalid, "audience"},
		{"wrong issuer", hmacTokens, hs(nil, good(object{"iss": issuer + "/"})), Invalid, "issuer"},
		{"no exp", hmacTokens, hs(nil, good(object{"exp": nil})), Invalid, "exp claim is required"},
		{"no iss", hmacTokens, hs(nil, good(object{"iss": nil})), Invalid, "iss claim is required"},
		{"no aud", hmacTokens, hs(nil, good(object{"aud": nil})), Invalid, "aud claim is required"},
		{"empty aud", hmacTokens, hs(nil, good(object{"aud": []string{}})), Invalid, "aud claim is required"},
		{"names in capitals", hmacTokens, hs(nil, good(object{"exp": nil, "EXP": hour})), Invalid, "exp claim is required"},
		{"exp is null", hmacTokens, sign(t, "HS256", []byte(secret), nil, object{"iss": issuer, "aud": audience, "sub": "42", "exp": nil}), Invalid, "exp claim is required"},
		{"exp is a string", hmacTokens, hs(nil, good(object{"exp": fmt.Sprint(hour)})), Invalid, "not a number"},
		{"exp beyond all calendars", hmacTokens, hs(nil, good(object{"exp": 1e300})), Invalid, "after 9999"},
		{"exp before 1970", hmacTokens, hs(nil, good(object{"exp": -1e300})), Invalid, "before 1970"},
		{"aud is an object", hmacTokens, hs(nil, good(object{"aud": object{audience: true}})), Invalid, "not a list of strings"},
		{"iss is a list", hmacTokens, hs(nil, good(object{"iss": []string{issuer}})), Invalid, "not a string"},

		{"alg none", hmacTokens, unsigned("none"), Invalid, "none is invalid"},
		{"alg none, with the signature", hmacTokens, unsigned("none") + sig, Invalid, "none is invalid"},
		{"alg None", hmacTokens, unsigned("None"), Invalid, "unavailable"},
		{"alg NONE", hmacTokens, unsigned("NONE"), Invalid, "unavailable"},
		{"alg empty", hmacTokens, unsigned(""), Invalid, "unavailable"},
		{"alg of no string", hmacTokens, unsigned([]string{"HS256"}), Invalid, "unspecified"},
		{"alg missing", hmacTokens, segment(t, object{}) + "." + payload + "." + sig, Invalid, "unspecified"},
		{"alg none against a public key", rsaTokens, segment(t, object{"alg": "none"}) + "." + rsPayload + ".", Invalid, "none is invalid"},
		{"signature cut off", hmacTokens, head + ".", Invalid, "signature is invalid"},

		{"HS256 with the public key's PEM", rsaTokens, sign(t, "HS256", publicPEM(t, "rsa"), nil, good()), Invalid, "HS256 is invalid"},
		{"HS256 with the PEM, trimmed", rsaTokens, sign(t, "HS256", []byte(strings.TrimSpace(string(publicPEM(t, "rsa")))), nil, good()), Invalid, "HS256 is invalid"},
		{"an algorithm that is not configured", rsaTokens, sign(t, "RS512", signers()["rsa"], nil, good()), Invalid, "RS512 is invalid"},
		{"a stronger HMAC that is not configured", hmacTokens, sign(t, "HS512", []byte(secret), nil, good()), Invalid, "HS512 is invalid"},
		{"another key", rsaTokens, sign(t, "RS256", signers()["rsa2"], nil, good()), Invalid, "signature is invalid"},
		{"RS256 presented as PS256", rsaTokens, segment(t, object{"alg": "PS256"}) + "." + rsPayload + "." + rsSig, Invalid, "signature is invalid"},
		{"an empty ECDSA signature", ecTokens, segment(t, object{"alg": "ES256"}) + "." + payload + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)), Invalid, "signature is invalid"},
		{"empty secret", hmacTokens, sign(t, "HS256", []byte{}, nil, good()), Invalid, "signature is invalid"},
		{"a key in the header", rsaTokens, sign(t, "RS256", signers()["rsa2"], object{"jwk": jwkOf(t, "rsa2", "x"), "kid": "x"}, good()), Invalid, "signature is invalid"},
		{"a key's address in the header", rsaTokens, sign(t, "RS256", signers()["rsa2"], object{"jku": "https://evil.example.com/jwks.json", "x5u": "https://evil.example.com/c.pem"}, good()), Invalid, "signature is invalid"},
		{"a critical extension", hmacTokens, hs(object{"crit": []string{"b64"}, "b64": false}, good()), Invalid, "crit"},
		{"an empty crit", hmacTokens, hs(object{"crit": []string{}}, good()), Invalid, "crit"},
		{"kid is no string", hmacTokens, hs(object{"kid": 1}, good()), Invalid, "no string"},

		{"other claims under the signature", hmacTokens, strings.Replace(valid, payload, segment(t, good(object{"sub": "1"})), 1), Invalid, "signature is invalid"},
		{"a bit that base64 does not use", hmacTokens, head + "." + flipUnused(sig), Invalid, "illegal base64"},
		{"padding", hmacTokens, valid + "=", Invalid, "illegal base64"},
		{"a line break", hmacTokens, valid + "\n", Invalid, "line breaks"},
		{"blanks", hmacTokens, " " + valid, Invalid, "illegal base64"},
		{"two segments", hmacTokens, head, Invalid, "segments"},
		{"four segments", hmacTokens, valid + ".", Invalid, "segments"},
		{"five segments, as when encrypted", hmacTokens, valid + ".a.b", Invalid, "segments"},
		{"dots", hmacTokens, "..", Invalid, "malformed"},
		{"garbage", hmacTokens, "\x00\xff garbage", Invalid, "segments"},
		{"claims are null", hmacTokens, sign(t, "HS256", []byte(secret), nil, nil), Invalid, "required"},
		{"header is null", hmacTokens, segment(t, nil) + "." + payload + "." + sig, Invalid, "unspecified"},
		{"claims are a list", hmacTokens, segment(t, object{"alg": "HS256"}) + "." + segment(t, []int{1}) + "." + sig, Invalid, "malformed"},
		{"too large", hmacTokens, hs(nil, good(object{"x": strings.Repeat("x", maxToken)})), Invalid, "allowed: 8192"},
		{"dots without end", hmacTokens, strings.Repeat(".", maxToken+1), Invalid, "allowed: 8192"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { refuses(t, tt.tokens, tt.token, tt.code, tt.reason) })
	}

	// Not for being what they were made from.
	accepts(t, hmacTokens, valid)
	accepts(t, rsaTokens, rs)
	accepts(t, ecTokens, sign(t, "ES256", signers()["p256"], nil, good()))
}

// flipUnused changes bits of the last character that are no part of the bytes:
// 32 bytes leave two.
func flipUnused(sig string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, sig[len(sig)-1])
	return sig[:len(sig)-1] + alphabet[last^1:last^1+1]
}

func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := newVerifier(t, options())
		now := time.Now().Unix()
		token := sign(t, "HS256", []byte(secret), nil, good(object{"exp": now + 60, "nbf": now + int64(leeway/time.Second)}))
		if id := accepts(t, tokens, token); !id.Expire.Equal(time.Unix(now+60, 0)) {
			t.Errorf("expires at %v", id.Expire)
		}
		early := sign(t, "HS256", []byte(secret), nil, good(object{"nbf": now + int64(leeway/time.Second) + 1}))
		refuses(t, tokens, early, Invalid, "not valid yet")
		time.Sleep(time.Second)
		accepts(t, tokens, early)

		time.Sleep(59*time.Second - time.Nanosecond)
		accepts(t, tokens, token)
		time.Sleep(time.Nanosecond)
		refuses(t, tokens, token, Expired, "")
		time.Sleep(time.Hour)
		refuses(t, tokens, token, Expired, "")
	})
}

func TestSeveralAudiences(t *testing.T) {
	o := options()
	o.Audience = []string{"chat", "news"}
	tokens := newVerifier(t, o)
	for _, aud := range []any{"chat", "news", []string{"other", "news"}} {
		accepts(t, tokens, sign(t, "HS256", []byte(secret), nil, good(object{"aud": aud})))
	}
	refuses(t, tokens, sign(t, "HS256", []byte(secret), nil, good()), Invalid, "audience")
}

// TestDecide: a token's code is what the client is told; that there are no keys
// may pass, all else is final.
func TestDecide(t *testing.T) {
	expired := sign(t, "HS256", []byte(secret), nil, good(object{"exp": 1}))
	token := sign(t, "HS256", []byte(secret), nil, good(object{"rooms": []string{"b"}}))
	v := newVerifier(t, options())
	bring := func(token string) *admission.Request { return request([]byte(`{"token":"`+token+`"}`), nil, "") }
	sofar := sio.Admission{User: "7", Rooms: []string{"a"}}
	if a, err := v.Decide(t.Context(), bring(token), sofar); err != nil || a.User != "42" || !slices.Equal(a.Rooms, []string{"a", "b"}) || a.Expire.IsZero() {
		t.Errorf("got %+v, %v", a, err)
	}
	for token, want := range map[string]Code{"": Missing, "x": Invalid, expired: Expired} {
		var refusal *sio.Refusal
		if a, err := v.Decide(t.Context(), bring(token), sofar); !errors.As(err, &refusal) || refusal.Message != string(want) || a.User != "" {
			t.Errorf("got %+v, %v, want %s", a, err, want)
		}
	}
	if got, want := v.Stats(), (Stats{Accepted: 1, Missing: 1, Expired: 1, Invalid: 1, KeysReady: true}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	withSite(t, down, func(t *testing.T, v *Verifier, _ *site) {
		var unavailable *sio.Unavailable
		var refusal *sio.Refusal
		if _, err := v.Decide(t.Context(), bring(signed(t, "rsa", "k")), sofar); !errors.As(err, &unavailable) || errors.As(err, &refusal) || unavailable.Message != string(Unavailable) {
			t.Errorf("got %v", err)
		}
		if got, want := v.Stats(), (Stats{Unavailable: 1}); got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
	})
}

// TestKeyWait bounds how long a connection waits for keys.
func TestKeyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := setOptions(setURL)
		o.KeyWait = time.Second
		v := newVerifier(t, o) // which nobody runs
		begun := time.Now()
		_, err := v.Decide(t.Context(), request(nil, nil, "Bearer "+signed(t, "rsa", "k")), sio.Admission{})
		if waited := time.Since(begun); err == nil || waited != time.Second {
			t.Errorf("got %v after %v", err, waited)
		}
	})
}
