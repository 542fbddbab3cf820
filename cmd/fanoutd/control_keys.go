package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fanoutd/fanoutd/internal/control/identity"
	"github.com/fanoutd/fanoutd/internal/control/keyfile"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// minKey is how long a control key is at least that others may try to guess:
// 16 random bytes are too many to be tried, also if each is only a letter.
const minKey = 16 // bytes

// readKeys reads control-key-file, if there is one.
func (c *listenerConfig) readKeys(s *settings.Set) error {
	text, err := s.SecretFile("control-key")
	if err != nil || text == nil {
		return err
	}
	if c.controlKeys, err = parseKeyFile(text); err != nil {
		return s.Get("control-key-file").Errorf("the file %s: %v", c.controlKeyFile, err)
	}
	return nil
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

// callers gives the keys to the callers of the control API. All are those of one:
// the one in use, and during a rotation the next.
func callers(keys []string) []identity.Key {
	named := make([]identity.Key, len(keys))
	for i, k := range keys {
		named[i] = identity.Key{Name: "control-key", Secret: k}
	}
	return named
}

func newCallers(c *listenerConfig) (*identity.Authenticator, error) {
	insecure := len(c.controlKeys) == 0 // the settings have been checked
	a, err := identity.NewAuthenticator(callers(c.controlKeys), insecure)
	if err != nil {
		return nil, fmt.Errorf("the control keys: %w", err)
	}
	return a, nil
}

// keepKeys keeps the control keys those of their file until ctx ends.
func (d *daemon) keepKeys(ctx context.Context) {
	c := d.config.listeners // a copy: what is read again is checked as what was read first
	if c.controlKeyFile == "" {
		return
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	keyfile.New(c.controlKeyFile, c.rereadKeys, d.callers, d.log).Run(ctx, hangups)
}

// rereadKeys reads the keys as readKeys and check do.
func (c *listenerConfig) rereadKeys(path string) ([]identity.Key, error) {
	text, err := settings.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if c.controlKeys, err = parseKeyFile(text); err != nil {
		return nil, err
	}
	if weak := c.weakKey(); weak > 0 && !c.control.Private() {
		return nil, weakKeyError(weak, c.control)
	}
	return callers(c.controlKeys), nil
}
