package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/fanoutd/fanoutd/internal/admission/token"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// tokenConfig says which tokens let browsers in.
type tokenConfig struct {
	algorithms    []string
	secret        string
	secretFile    string
	publicKeyFile string
	publicKey     []byte // what is in the file
	jwksURL       string
	issuer        string
	audience      []string
	userClaim     string
	sources       []token.Location
}

// declare adds the settings, each with its default in c.
func (c *tokenConfig) declare(s *settings.Set) {
	s.Declare("Admission by tokens",
		settings.Setting{
			Name: "jwt-secret", Reloadable: true, Secret: true,
			Help:  "verify the tokens of browsers by HMAC with this secret, as long as the hash at least; a command line is no secret, so prefer the variable or jwt-secret-file",
			Value: settings.String(&c.secret, ""),
		},
		settings.Setting{
			Name: "jwt-secret-file", Reloadable: true, Help: "a file with the secret instead; line breaks at its end do not count",
			Value: settings.File(&c.secretFile),
		},
		settings.Setting{
			Name: "jwt-public-key-file", Reloadable: true, Help: "verify them with the RSA, ECDSA or Ed25519 public key in this PEM file",
			Value: settings.File(&c.publicKeyFile),
		},
		settings.Setting{
			Name: "jwks-url", Help: "verify them with the keys published at this URL: https, or http on loopback",
			Value: settings.String(&c.jwksURL, ""),
		},
		settings.Setting{
			Name: "jwt-algorithms", Reloadable: true, Help: "the algorithms that tokens may be signed with; they fit the key",
			Value: settings.List(&c.algorithms, nil, strings.Join(token.Algorithms(), ", "), parseAlgorithms),
		},
		settings.Setting{
			Name: "jwt-issuer", Reloadable: true, Help: "what the claim iss of a token has to be",
			Value: settings.String(&c.issuer, ""),
		},
		settings.Setting{
			Name: "jwt-audience", Reloadable: true, Help: "what the claim aud of a token has to name one of",
			Value: settings.Strings(&c.audience, nil, "names"),
		},
		settings.Setting{
			Name: "jwt-user-claim", Reloadable: true, Help: "the claim that names the user",
			Value: settings.String(&c.userClaim, token.DefaultUserClaim),
		},
		settings.Setting{
			Name:  "jwt-sources",
			Help:  "where tokens are looked for, in this order: auth, what the client passes as auth.token; query, the parameter token, which ends up in logs; header, Authorization: Bearer",
			Value: settings.List(&c.sources, sourceNames(token.DefaultLocations()), strings.Join(sourceNames(token.Locations()), ", "), parseSources),
		},
	)
}

// on reports whether tokens are asked for.
func (c *tokenConfig) on() bool {
	return c.secret != "" || c.publicKeyFile != "" || c.jwksURL != ""
}

// check reads the files that are named, and refuses what makes no sense together.
func (c *tokenConfig) check(s *settings.Set) error {
	secret, err := s.SecretFile("jwt-secret")
	if err != nil {
		return err
	}
	if secret != nil {
		c.secret = string(secret)
	}
	if x := s.Get("jwt-public-key-file"); x.IsSet() {
		if c.publicKey, err = settings.ReadFile(c.publicKeyFile); err != nil {
			return x.Errorf("%v", err)
		}
	}
	if x := s.Get("jwks-url"); x.IsEmpty() {
		return x.Errorf("is set, but empty: leave it out if no URL is meant")
	}
	key, err := tokenKey(s)
	if err != nil || key == nil {
		return err
	}
	return c.complete(s, key)
}

// tokenKey returns the one setting that says what tokens are verified with, nil
// if there is none.
func tokenKey(s *settings.Set) (*settings.Setting, error) {
	var key *settings.Setting
	for _, name := range []string{"jwt-secret", "jwt-secret-file", "jwt-public-key-file", "jwks-url"} {
		x := s.Get(name)
		switch {
		case !x.IsSet():
		case key != nil:
			return nil, x.Errorf("%s is set too (%s): tokens are verified in one way", key.Name, key.Source())
		default:
			key = x
		}
	}
	if key != nil {
		return key, nil
	}
	for _, name := range []string{"jwt-algorithms", "jwt-issuer", "jwt-audience", "jwt-user-claim", "jwt-sources"} {
		if x := s.Get(name); x.IsSet() {
			return nil, x.Errorf("tokens are verified only with a key: set jwt-secret-file, jwt-public-key-file or jwks-url")
		}
	}
	return nil, nil
}

// complete refuses a key without what belongs to it.
func (c *tokenConfig) complete(s *settings.Set, key *settings.Setting) error {
	switch {
	case len(c.algorithms) == 0:
		return s.Get("jwt-algorithms").Errorf("%s is set: say which algorithms tokens are signed with", key.Name)
	case c.issuer == "":
		return s.Get("jwt-issuer").Errorf("%s is set: say who issues the tokens", key.Name)
	case len(c.audience) == 0:
		return s.Get("jwt-audience").Errorf("%s is set: say whom the tokens are for, so that those for others are refused", key.Name)
	case c.userClaim == "":
		return s.Get("jwt-user-claim").Errorf("is set, but empty")
	case len(c.sources) == 0:
		return s.Get("jwt-sources").Errorf("no source is left to look for tokens")
	}
	if _, err := token.New(c.options(slog.Default())); err != nil {
		return key.Errorf("%v", err)
	}
	return nil
}

// options is what the settings say.
func (c *tokenConfig) options(log *slog.Logger) token.Options {
	return token.Options{
		Algorithms: c.algorithms, Secret: []byte(c.secret), PublicKey: c.publicKey, JWKS: c.jwksURL,
		Issuer: c.issuer, Audience: c.audience, UserClaim: c.userClaim, Locations: c.sources,
		Logger: log,
	}
}

// secretQuery lists the query parameters that nobody is to see.
func (c *tokenConfig) secretQuery() []string {
	if c.on() && slices.Contains(c.sources, token.FromQuery) {
		return []string{token.QueryField}
	}
	return nil
}

func parseAlgorithms(names []string) ([]string, error) {
	return names, each(names, token.Algorithms())
}

func parseSources(names []string) ([]token.Location, error) {
	var all []token.Location
	for _, name := range names {
		all = append(all, token.Location(name))
	}
	return all, each(names, sourceNames(token.Locations()))
}

func sourceNames(sources []token.Location) []string {
	var names []string
	for _, s := range sources {
		names = append(names, string(s))
	}
	return names
}

// each returns an error unless all names are known, and none is there twice.
func each(names, known []string) error {
	left := map[string]bool{}
	for _, name := range known {
		left[name] = true
	}
	for _, name := range names {
		if !left[name] {
			return fmt.Errorf("%.32q is unknown or listed twice", name)
		}
		left[name] = false
	}
	return nil
}
