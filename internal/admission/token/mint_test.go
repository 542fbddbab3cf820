package token

import (
	"encoding/json"
	"encoding/pem"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMint(t *testing.T) {
	rsaOptions := publicOptions(t, "rsa", "ES256", "PS256")
	rsaOptions.PublicKey, rsaOptions.JWKS = nil, "https://issuer.example.com/jwks"
	custom := options()
	custom.UserClaim, custom.Audience = "uid", []string{"one", "two"}
	tests := []struct {
		name    string
		o       Options
		private []byte
		verify  Options
	}{
		{"secret", options(), nil, options()},
		{"secret, other names", custom, nil, custom},
		{"RSA", publicOptions(t, "rsa", "RS256"), privatePEM(t, "rsa"), publicOptions(t, "rsa", "RS256")},
		{"ECDSA", publicOptions(t, "p384", "ES384"), privatePEM(t, "p384"), publicOptions(t, "p384", "ES384")},
		{"Ed25519", publicOptions(t, "ed25519", "EdDSA"), privatePEM(t, "ed25519"), publicOptions(t, "ed25519", "EdDSA")},
		{"for a set", rsaOptions, privatePEM(t, "rsa"), publicOptions(t, "rsa", "PS256")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := Mint(tt.o, tt.private, Grant{User: "42", Rooms: []string{"a", "b"}, Data: json.RawMessage(`{"x":1}`), TTL: time.Hour, KeyID: "k"})
			if err != nil {
				t.Fatal(err)
			}
			id := accepts(t, newVerifier(t, tt.verify), token)
			if id.User != "42" || !slices.Equal(id.Rooms, []string{"a", "b"}) || !reflect.DeepEqual(id.Data, object{"x": 1.0}) {
				t.Errorf("got %+v", id)
			}
		})
	}
}

func TestMintedTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token, err := Mint(options(), nil, Grant{User: "42", TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		tokens := newVerifier(t, options())
		if id := accepts(t, tokens, token); time.Until(id.Expire) != time.Minute {
			t.Errorf("good for %v", time.Until(id.Expire))
		}
		time.Sleep(time.Minute)
		refuses(t, tokens, token, Expired, "")
	})
}

func TestMintRefuses(t *testing.T) {
	claim := func(name string) Options {
		o := options()
		o.UserClaim = name
		return o
	}
	set := setOptions("https://issuer.example.com/jwks")
	fine := Grant{User: "42", TTL: time.Hour}
	tests := []struct {
		name    string
		o       Options
		private []byte
		g       Grant
		want    string
	}{
		{"options", Options{}, nil, fine, "issuer"},
		{"no user", options(), nil, Grant{TTL: time.Hour}, `"sub"`},
		{"no time", options(), nil, Grant{User: "42"}, "within a second"},
		{"empty room", options(), nil, Grant{User: "42", TTL: time.Hour, Rooms: []string{""}}, "room"},
		{"data that is a list", options(), nil, Grant{User: "42", TTL: time.Hour, Data: json.RawMessage(`[1]`)}, "object"},
		{"data that is no JSON", options(), nil, Grant{User: "42", TTL: time.Hour, Data: json.RawMessage(`{x}`)}, "signing"},
		{"too much", options(), nil, Grant{User: "42", TTL: time.Hour, Rooms: []string{strings.Repeat("x", 2000)}}, "1024"},
		{"a claim that is taken", claim("aud"), nil, fine, `"aud"`},
		{"the claim of the rooms", claim("rooms"), nil, fine, `"rooms"`},
		{"a secret and a private key", options(), privatePEM(t, "rsa"), fine, "no private key"},
		{"no private key", publicOptions(t, "rsa", "RS256"), nil, fine, "a private key is needed"},
		{"a public one", publicOptions(t, "rsa", "RS256"), publicPEM(t, "rsa"), fine, `"PUBLIC KEY"`},
		{"another private key", publicOptions(t, "rsa", "RS256"), privatePEM(t, "rsa2"), fine, "would be refused"},
		{"another sort of key", publicOptions(t, "rsa", "RS256"), privatePEM(t, "p256"), fine, "no configured algorithm"},
		{"no PEM", publicOptions(t, "rsa", "RS256"), []byte(secret), fine, "no PEM"},
		{"an empty PEM", publicOptions(t, "rsa", "RS256"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}), fine, "private key"},
		{"a weak key", publicOptions(t, "rsa", "RS256"), privatePEM(t, "weak rsa"), fine, "1024 bits"},
		{"too much for a set", set, privatePEM(t, "rsa"), Grant{TTL: time.Hour}, `"sub"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := Mint(tt.o, tt.private, tt.g)
			if err == nil || token != "" || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %q, %v, want something with %q", token, err, tt.want)
			}
			if strings.Contains(err.Error(), secret[:16]) {
				t.Errorf("shows the secret: %v", err)
			}
		})
	}
}
