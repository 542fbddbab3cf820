package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/control/keyfile"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// minKey is how long a control key is at least that others may try to guess:
// 16 random bytes are too many to be tried, also if each is only a letter.
const minKey = 16 // bytes

// readKeys reads control-key-file and control-keys-file, if there are any.
func (c *listenerConfig) readKeys(s *settings.Set) error {
	return settings.Join(c.readPlainKeys(s), c.readNamedKeys(s))
}

func (c *listenerConfig) readPlainKeys(s *settings.Set) error {
	text, err := s.SecretFile("control-key")
	if err != nil || text == nil {
		return err
	}
	if c.controlKeys, err = parseKeyFile(text); err != nil {
		return s.Get("control-key-file").Errorf("the file %s: %v", c.controlKeyFile, err)
	}
	return nil
}

func (c *listenerConfig) readNamedKeys(s *settings.Set) error {
	x := s.Get("control-keys-file")
	switch {
	case x.IsEmpty():
		return x.Errorf("is set, but empty: leave it out if none is meant")
	case !x.IsSet():
		return nil
	}
	text, err := settings.ReadFile(c.controlKeysFile)
	if err != nil {
		return x.Errorf("%v", err)
	}
	if c.namedKeys, err = c.parseNamedKeys(text); err == nil {
		return nil
	}
	var problems []error
	for _, problem := range keyProblems(err) {
		problems = append(problems, x.Errorf("%v", problem))
	}
	return settings.Join(problems...)
}

// keyProblems are what is wrong with a file of keys, each by itself.
func keyProblems(err error) []error {
	if p := (keyfile.Problems)(nil); errors.As(err, &p) {
		return p
	}
	return []error{err}
}

// parseNamedKeys returns the keys in the text of control-keys-file.
func (c *listenerConfig) parseNamedKeys(text []byte) ([]identity.Key, error) {
	keys, err := keyfile.Parse(c.controlKeysFile, text)
	if err != nil {
		return nil, err
	}
	plain := map[[sha256.Size]byte]bool{}
	for _, secret := range c.controlKeys {
		plain[sha256.Sum256([]byte(secret))] = true
	}
	for i, k := range keys {
		switch {
		case k.Certificate != "" && c.controlClientCA == "":
			return nil, fmt.Errorf("%s, entry %d (%q): a certificate is known by, and nobody is asked for one: set control-client-ca-file", c.controlKeysFile, i+1, k.Name)
		case plain[k.Digest()]:
			return nil, fmt.Errorf("%s, entry %d (%q): control-key, or control-key-file, has its key too, and may do everything: leave one", c.controlKeysFile, i+1, k.Name)
		}
	}
	return keys, nil
}

// keySetting is the name of the setting that gave the keys.
func (c *listenerConfig) keySetting(s *settings.Set) string {
	if s.Get("control-key-file").IsSet() {
		return "control-key-file"
	}
	return "control-key"
}

// weakKey returns which of the keys is short enough to be guessed, from 1; 0: none.
func (c *listenerConfig) weakKey() int {
	for i, k := range c.controlKeys {
		if len(k) < minKey {
			return i + 1
		}
	}
	return 0
}

func weakKeyError(n int, at settings.Address) error {
	return fmt.Errorf("key %d has fewer than %d bytes, and others can reach %s and guess it: make one by \"openssl rand -hex 32\", or listen on loopback or unix:/PATH", n, minKey, at)
}

// parseKeyFile returns the keys in a file; its errors do not repeat them.
func parseKeyFile(text []byte) ([]string, error) {
	keys, err := parseKeys(strings.Fields(string(text)))
	if err == nil && len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, err
}

// parseKeys checks the control keys; its errors do not repeat them.
func parseKeys(keys []string) ([]string, error) {
	if len(keys) > 2 {
		return nil, fmt.Errorf("%d keys, but at most two can be valid at once", len(keys))
	}
	for i, k := range keys {
		if k == "" || strings.ContainsAny(k, " \t\r\n,") {
			return nil, fmt.Errorf("key %d is empty, or has a blank or a comma in it", i+1)
		}
	}
	return keys, nil
}

// credentials are what callers of the control API are known by; none: everybody may
// call. All keys of control-key are those of one caller: the one in use, and during a
// rotation the next. Without a control-keys-file every certificate of the authorities
// is one that may do everything.
func (c *listenerConfig) credentials() []identity.Key {
	var all []identity.Key
	for _, secret := range c.controlKeys {
		all = append(all, identity.Key{Name: "control-key", Secret: secret})
	}
	all = append(all, c.namedKeys...)
	if c.controlClientCA != "" && c.controlKeysFile == "" {
		all = append(all, identity.Key{Certificate: "*"})
	}
	return all
}

func newCallers(c *listenerConfig) (*identity.Authenticator, error) {
	known := c.credentials()
	a, err := identity.NewAuthenticator(known, len(known) == 0) // the settings have been checked
	if err != nil {
		return nil, fmt.Errorf("the control keys: %w", err)
	}
	return a, nil
}

// keepKeys keeps the control keys those of their files until ctx ends.
func (d *daemon) keepKeys(ctx context.Context) {
	var files []string
	for _, file := range []string{d.config.listeners.controlKeyFile, d.config.listeners.controlKeysFile} {
		if file != "" {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	keyfile.New(files, d.rereadKeys, d.callers, d.log).Run(ctx, hangups)
}

// rereadKeys reads the files as readKeys and check do.
func (d *daemon) rereadKeys() ([]identity.Key, error) {
	c := d.config.listeners // a copy: what is read again is checked as what was read first
	if keys := d.controlKeys.Load(); keys != nil {
		c.controlKeys = *keys
	}
	if c.controlKeyFile != "" {
		text, err := settings.ReadFile(c.controlKeyFile)
		if err != nil {
			return nil, err
		}
		if c.controlKeys, err = parseKeyFile(text); err != nil {
			return nil, fmt.Errorf("%s: %w", c.controlKeyFile, err)
		}
		if weak := c.weakKey(); weak > 0 && d.config.listeners.guessable() {
			return nil, fmt.Errorf("%s: %w", c.controlKeyFile, weakKeyError(weak, c.control))
		}
	}
	if c.controlKeysFile != "" {
		text, err := settings.ReadFile(c.controlKeysFile)
		if err != nil {
			return nil, err
		}
		if c.namedKeys, err = c.parseNamedKeys(text); err != nil {
			return nil, err
		}
	}
	return c.credentials(), nil
}

// setControlKeys has the keys of control-key be those of next. Where the keys come from
// changes at a restart only.
func (d *daemon) setControlKeys(next *config) error {
	c := d.config.listeners
	if c.controlKeyFile != "" || next.listeners.controlKeyFile != "" || len(c.controlKeys) == 0 || len(next.listeners.controlKeys) == 0 {
		return errRestart
	}
	before := c.controlKeys
	if keys := d.controlKeys.Load(); keys != nil {
		before = *keys
	}
	if slices.Equal(before, next.listeners.controlKeys) {
		return nil
	}
	d.controlKeys.Store(&next.listeners.controlKeys)
	_, _, err := d.callers.Reread(d.rereadKeys)
	return err
}
