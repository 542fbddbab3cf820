package main

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/admission/hook"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// hookConfig says which backend is asked who may connect.
type hookConfig struct {
	address     settings.Address // zero: none is asked
	tls         bool
	caFile      string
	ca          *x509.CertPool // what is in the file
	timeout     time.Duration
	concurrency int
	key         string
	keyFile     string
}

// declare adds the settings, each with its default in c.
func (c *hookConfig) declare(s *settings.Set) {
	s.Declare("Admission by a hook",
		settings.Setting{
			Name: "hook", Help: "ask a backend which browsers may connect, by fanout.hook.v1 at HOST:PORT or unix:/PATH",
			Value: settings.HostPortOrUnix(&c.address, ""),
		},
		settings.Setting{
			Name: "hook-tls", Help: "encrypt what is sent to the hook",
			Value: settings.Bool(&c.tls, false),
		},
		settings.Setting{
			Name: "hook-ca", Help: "a PEM file with the certificates that may sign the hook's, instead of the system's; implies hook-tls",
			Value: settings.File(&c.caFile),
		},
		settings.Setting{
			Name: "hook-timeout", Help: "how long the hook may take; then the connection is refused",
			Value: settings.Duration(&c.timeout, hook.DefaultTimeout),
		},
		settings.Setting{
			Name: "hook-concurrency", Help: "how many connections the hook is asked about at once",
			Value: settings.Number(&c.concurrency, hook.DefaultConcurrency, 1, 10_000),
		},
		settings.Setting{
			Name: "hook-key", Reloadable: true, Help: "the bearer key that the hook is sent; prefer the variable or hook-key-file", Secret: true,
			Value: settings.String(&c.key, ""),
		},
		settings.Setting{
			Name: "hook-key-file", Reloadable: true, Help: "a file with the key instead",
			Value: settings.File(&c.keyFile),
		},
	)
}

// on reports whether a hook is asked.
func (c *hookConfig) on() bool { return !c.address.IsZero() }

func (c *hookConfig) encrypted() bool { return c.tls || c.ca != nil }

// check reads the files that are named, and refuses what makes no sense together.
func (c *hookConfig) check(s *settings.Set) error {
	key, err := s.SecretFile("hook-key")
	if err != nil {
		return err
	}
	if key != nil {
		c.key = string(key)
	}
	if x := s.Get("hook-ca"); x.IsSet() {
		text, err := settings.ReadFile(c.caFile)
		if err != nil {
			return x.Errorf("%v", err)
		}
		c.ca = x509.NewCertPool()
		if !c.ca.AppendCertsFromPEM(text) {
			return x.Errorf("the file holds no certificate in PEM")
		}
	}
	if !c.on() {
		for _, x := range s.All() {
			if strings.HasPrefix(x.Name, "hook") && x.IsSet() {
				return x.Errorf("no hook is set that this could be for")
			}
		}
		return nil
	}
	switch tls := s.Get("hook-tls"); {
	case c.ca != nil && tls.IsSet() && !c.tls:
		return tls.Errorf("hook-ca is set too, which is for TLS only")
	case strings.ContainsFunc(c.key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return s.Get("hook-key").Errorf("the key has a blank or a letter that no header takes")
	}
	return nil
}

// options is what the settings say.
func (c *hookConfig) options(log *slog.Logger) hook.Options {
	o := hook.Options{
		Address: c.address.String(), Key: c.key,
		Timeout: c.timeout, Concurrency: c.concurrency,
		Logger: log,
	}
	if c.encrypted() {
		o.TLS = &tls.Config{RootCAs: c.ca, MinVersion: tls.VersionTLS12}
	}
	return o
}
