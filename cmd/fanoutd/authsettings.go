package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/auth"
	"github.com/fanoutd/fanoutd/internal/control/hook"
)

// authConfig says which browsers may connect.
type authConfig struct {
	algorithms    []string
	secret        string
	secretFile    string
	publicKeyFile string
	publicKey     []byte // what is in the file
	jwksURL       string
	issuer        string
	audience      []string
	userClaim     string
	sources       []auth.Source

	hook            address // its name is empty: there is none
	hookTLS         bool
	hookCAFile      string
	hookCA          *x509.CertPool // what is in the file
	hookTimeout     time.Duration
	hookConcurrency int
	hookKey         string
	hookKeyFile     string
}

// add adds the settings, each with its default in c.
func (c *authConfig) add(s *settings) {
	s.add("jwt-secret", "verify the tokens of browsers by HMAC with this secret, as long as the hash at least; a command line is no secret, so prefer the variable or jwt-secret-file",
		stringValue(&c.secret, "")).secret = true
	s.add("jwt-secret-file", "a file with the secret instead; line breaks at its end do not count",
		stringValue(&c.secretFile, ""))
	s.add("jwt-public-key-file", "verify them with the RSA, ECDSA or Ed25519 public key in this PEM file",
		stringValue(&c.publicKeyFile, ""))
	s.add("jwks-url", "verify them with the keys published at this URL: https, or http on loopback",
		stringValue(&c.jwksURL, ""))
	s.add("jwt-algorithms", "the algorithms that tokens may be signed with; they fit the key",
		listValue(&c.algorithms, nil, strings.Join(auth.Algorithms(), ", "), parseAlgorithms))
	s.add("jwt-issuer", "what the claim iss of a token has to be",
		stringValue(&c.issuer, ""))
	s.add("jwt-audience", "what the claim aud of a token has to name one of",
		listValue(&c.audience, nil, "names", func(names []string) ([]string, error) { return names, nil }))
	s.add("jwt-user-claim", "the claim that names the user",
		stringValue(&c.userClaim, auth.DefaultUserClaim))
	s.add("jwt-sources", "where tokens are looked for, in this order: auth, what the client passes as auth.token; query, the parameter token, which ends up in logs; header, Authorization: Bearer",
		listValue(&c.sources, sourceNames(auth.DefaultSources()), strings.Join(sourceNames(auth.Sources()), ", "), parseSources))

	s.add("hook", "ask a backend which browsers may connect, by fanout.hook.v1 at HOST:PORT or unix:/PATH",
		optionalAddress(&c.hook))
	s.add("hook-tls", "encrypt what is sent to the hook",
		boolValue(&c.hookTLS, false))
	s.add("hook-ca", "a PEM file with the certificates that may sign the hook's, instead of the system's; implies hook-tls",
		stringValue(&c.hookCAFile, ""))
	s.add("hook-timeout", "how long the hook may take; then the connection is refused",
		durationValue(&c.hookTimeout, hook.DefaultTimeout))
	s.add("hook-concurrency", "how many connections the hook is asked about at once",
		concurrencyValue(&c.hookConcurrency, hook.DefaultConcurrency))
	s.add("hook-key", "the bearer key that the hook is sent; prefer the variable or hook-key-file",
		stringValue(&c.hookKey, "")).secret = true
	s.add("hook-key-file", "a file with the key instead",
		stringValue(&c.hookKeyFile, ""))
}

// verifiesTokens reports whether tokens are asked for.
func (c *authConfig) verifiesTokens() bool {
	return c.secret != "" || c.publicKeyFile != "" || c.jwksURL != ""
}

// asksHook reports whether a hook is asked.
func (c *authConfig) asksHook() bool { return c.hook.name != "" }

// read reads the files that are named, and refuses what makes no sense
// together. A key that was meant to be there and is not, as when a secret was
// not mounted, lets nobody in.
func (c *authConfig) read(s *settings) error {
	for _, secret := range []struct {
		name  string
		value *string
		file  string
	}{{"jwt-secret", &c.secret, c.secretFile}, {"hook-key", &c.hookKey, c.hookKeyFile}} {
		if err := readSecret(s, secret.name, secret.value, secret.file); err != nil {
			return err
		}
	}
	for _, file := range []struct {
		name, path string
		use        func([]byte) error
	}{
		{"jwt-public-key-file", c.publicKeyFile, func(text []byte) error { c.publicKey = text; return nil }},
		{"hook-ca", c.hookCAFile, c.trust},
	} {
		if x := s.get(file.name); x.isSet() {
			text, err := readSmall(file.path)
			if err == nil {
				err = file.use(text)
			}
			if err != nil {
				return x.errorf("%v", err)
			}
		}
	}
	if x := s.get("jwks-url"); x.isSet() && c.jwksURL == "" {
		return x.errorf("is set, but empty: leave it out if no URL is meant")
	}
	return c.checkTokens(s)
}

// trust takes the certificates that may sign the hook's.
func (c *authConfig) trust(text []byte) error {
	c.hookCA = x509.NewCertPool()
	if !c.hookCA.AppendCertsFromPEM(text) {
		return errors.New("the file holds no certificate in PEM")
	}
	return nil
}

// readSecret sets value to what is in its file, if there is one.
func readSecret(s *settings, name string, value *string, path string) error {
	given, file := s.get(name), s.get(name+"-file")
	switch {
	case given.isSet() && *value == "":
		return given.errorf("is set, but empty: leave it out if none is meant")
	case !file.isSet():
		return nil
	case given.isSet():
		return file.errorf("%s is set too (%s): set one of them", name, given.from)
	}
	text, err := readSmall(path)
	if err != nil {
		return file.errorf("%v", err)
	}
	if text = bytes.TrimRight(text, "\r\n"); len(text) == 0 {
		return file.errorf("the file %s is empty", path)
	}
	*value = string(text)
	return nil
}

// checkTokens refuses settings about tokens that make no sense together.
func (c *authConfig) checkTokens(s *settings) error {
	var key *setting
	for _, name := range []string{"jwt-secret", "jwt-secret-file", "jwt-public-key-file", "jwks-url"} {
		x := s.get(name)
		switch {
		case !x.isSet():
		case key != nil:
			return x.errorf("%s is set too (%s): tokens are verified in one way", key.name, key.from)
		default:
			key = x
		}
	}
	if key == nil {
		for _, name := range []string{"jwt-algorithms", "jwt-issuer", "jwt-audience", "jwt-user-claim", "jwt-sources"} {
			if x := s.get(name); x.isSet() {
				return x.errorf("tokens are verified only with a key: set jwt-secret-file, jwt-public-key-file or jwks-url")
			}
		}
		return nil
	}
	switch {
	case len(c.algorithms) == 0:
		return s.get("jwt-algorithms").errorf("%s is set: say which algorithms tokens are signed with", key.name)
	case c.issuer == "":
		return s.get("jwt-issuer").errorf("%s is set: say who issues the tokens", key.name)
	case len(c.audience) == 0:
		return s.get("jwt-audience").errorf("%s is set: say whom the tokens are for, so that those for others are refused", key.name)
	case c.userClaim == "":
		return s.get("jwt-user-claim").errorf("is set, but empty")
	case len(c.sources) == 0:
		return s.get("jwt-sources").errorf("no source is left to look for tokens")
	}
	if _, err := auth.NewTokens(c.tokenOptions(slog.Default())); err != nil {
		return key.errorf("%v", err)
	}
	return nil
}

// checkHook refuses settings about the hook that make no sense together.
func (c *authConfig) checkHook(s *settings, pingTimeout time.Duration) error {
	if !c.asksHook() {
		for _, x := range s.all {
			if strings.HasPrefix(x.name, "hook") && x.isSet() {
				return x.errorf("no hook is set that this could be for")
			}
		}
		return nil
	}
	switch tls := s.get("hook-tls"); {
	case c.hookCA != nil && tls.isSet() && !c.hookTLS:
		return tls.errorf("hook-ca is set too, which is for TLS only")
	case c.hookTimeout > pingTimeout/2:
		// Nothing is read from a browser while it is decided on, its answer to a
		// ping neither.
		return s.get("hook-timeout").errorf("%v is more than half of ping-timeout, %v", c.hookTimeout, pingTimeout)
	case strings.ContainsFunc(c.hookKey, func(r rune) bool { return r <= ' ' || r > '~' }):
		return s.get("hook-key").errorf("the key has a blank or a letter that no header takes")
	}
	return nil
}

func (c *authConfig) tokenOptions(log *slog.Logger) auth.Options {
	return auth.Options{
		Algorithms: c.algorithms, Secret: []byte(c.secret), PublicKey: c.publicKey, JWKS: c.jwksURL,
		Issuer: c.issuer, Audience: c.audience, UserClaim: c.userClaim, Sources: c.sources,
		Logger: log,
	}
}

func (c *authConfig) hookOptions(log *slog.Logger) hook.Options {
	o := hook.Options{
		Address: c.hook.String(), Key: c.hookKey,
		Timeout: c.hookTimeout, Concurrency: c.hookConcurrency,
		Logger: log,
	}
	if c.hookEncrypted() {
		o.TLS = &tls.Config{RootCAs: c.hookCA, MinVersion: tls.VersionTLS12}
	}
	return o
}

func (c *authConfig) hookEncrypted() bool { return c.hookTLS || c.hookCA != nil }

func parseAlgorithms(names []string) ([]string, error) {
	return names, each(names, auth.Algorithms())
}

func parseSources(names []string) ([]auth.Source, error) {
	var all []auth.Source
	for _, name := range names {
		all = append(all, auth.Source(name))
	}
	return all, each(names, sourceNames(auth.Sources()))
}

func sourceNames(sources []auth.Source) []string {
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

// optionalAddress is the address of somebody else, or empty.
func optionalAddress(to *address) value {
	return newScalar(to, "", "HOST:PORT or unix:/PATH", func(s string) (address, error) {
		if s == "" {
			return address{}, nil
		}
		return parseAddress(s, true)
	})
}

func concurrencyValue(to *int, first int) value {
	const most = 10_000
	want := fmt.Sprintf("a number from 1 to %d", most)
	return newScalar(to, strconv.Itoa(first), want, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > most {
			return 0, errNotAllowed
		}
		return n, nil
	})
}

// secretQuery lists the query parameters that nobody is to see.
func (c *authConfig) secretQuery() []string {
	if c.verifiesTokens() && slices.Contains(c.sources, auth.FromQuery) {
		return []string{auth.TokenField}
	}
	return nil
}
