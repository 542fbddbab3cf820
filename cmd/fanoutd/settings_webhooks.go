package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/fanoutd/fanoutd/internal/settings"
	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/parser"
	"github.com/fanoutd/fanoutd/internal/webhook"
)

// webhookConfig says which HTTP endpoints hear browsers.
type webhookConfig struct {
	one       webhookEntry // its URL empty: none
	file      string
	listed    []webhookEntry // in the file
	endpoints []webhook.Endpoint
}

// webhookEntry is one endpoint as it is told.
type webhookEntry struct {
	URL         string        `yaml:"url"`
	Group       string        `yaml:"group"`
	Namespaces  []string      `yaml:"namespaces"`
	Events      []string      `yaml:"events"`
	Lifecycle   bool          `yaml:"lifecycle"`
	Authorize   bool          `yaml:"authorize"`
	SecretFile  string        `yaml:"secret-file"`
	MaxInFlight int           `yaml:"max-in-flight"`
	Timeout     time.Duration `yaml:"timeout"`
	HeadersFile string        `yaml:"headers-file"`
	CAFile      string        `yaml:"ca-file"`
}

// declare adds the settings, each with its default in c.
func (c *webhookConfig) declare(s *settings.Set) {
	e := &c.one
	s.Declare("Webhooks",
		settings.Setting{
			Name: "webhook-url", Reloadable: true, Help: "what browsers do is sent to this URL, http or https, signed CloudEvents; see docs/webhooks.md",
			Value: settings.String(&e.URL, ""),
		},
		settings.Setting{
			Name: "webhook-group", Reloadable: true, Help: "the group of consumers that the webhook is one of",
			Value: settings.String(&e.Group, "webhook"),
		},
		settings.Setting{
			Name: "webhook-namespaces", Reloadable: true, Help: "the namespaces whose events it wants; none: all",
			Value: settings.Strings(&e.Namespaces, nil, "names or patterns, as in /,/tenant-*; * is all"),
		},
		settings.Setting{
			Name: "webhook-events", Reloadable: true, Help: "the names of the events it wants; none: all",
			Value: settings.Strings(&e.Events, nil, "names of events"),
		},
		settings.Setting{
			Name: "webhook-lifecycle", Reloadable: true, Help: "it hears too of connections that begin, end, and after recovery-window cannot be come back to",
			Value: settings.Bool(&e.Lifecycle, false),
		},
		settings.Setting{
			Name: "webhook-authorize", Reloadable: true, Help: "it decides who may connect",
			Value: settings.Bool(&e.Authorize, false),
		},
		settings.Setting{
			Name: "webhook-secret-file", Reloadable: true, Help: "a file with the secret that signs requests, as openssl rand -base64 32 makes one; during a rotation two, a line each",
			Value: settings.File(&e.SecretFile),
		},
		settings.Setting{
			Name: "webhook-max-in-flight", Reloadable: true, Help: "requests that are under way at once, each of another connection",
			Value: settings.Number(&e.MaxInFlight, webhook.DefaultMaxInFlight, 1, webhook.MaxMaxInFlight),
		},
		settings.Setting{
			Name: "webhook-timeout", Reloadable: true, Help: "how long a request may take",
			Value: settings.Duration(&e.Timeout, webhook.DefaultTimeout),
		},
		settings.Setting{
			Name: "webhook-headers-file", Reloadable: true, Help: "a file with headers that requests carry too, a line each, as in Authorization: Bearer KEY",
			Value: settings.File(&e.HeadersFile),
		},
		settings.Setting{
			Name: "webhook-ca-file", Reloadable: true, Help: "a PEM file with the certificates that may sign the webhook's, instead of the system's",
			Value: settings.File(&e.CAFile),
		},
		settings.Setting{
			Name: "webhooks-file", Reloadable: true, Help: "a YAML file with a list of webhooks, each with url and group, and what the settings above say without their \"webhook-\"",
			Value: settings.File(&c.file),
		},
	)
}

// check reads the files that are named, and refuses what would keep an endpoint from its
// group: it could not decide, then, who may connect. The namespaces are those served.
func (c *webhookConfig) check(s *settings.Set, namespaces []string) error {
	if err := c.checkOne(s); err != nil {
		return err
	}
	x := s.Get("webhooks-file")
	switch {
	case x.IsEmpty():
		return x.Errorf("is set, but empty: leave it out if none is meant")
	case c.file != "":
		text, err := settings.ReadFile(c.file)
		if err != nil {
			return x.Errorf("%v", err)
		}
		if c.listed, err = parseWebhooks(text); err != nil {
			return x.Errorf("the file %s: %v", c.file, err)
		}
	}
	var err error
	if c.endpoints, err = c.read(); err == nil {
		err = checkFilters(c.endpoints, namespaces)
	}
	if err != nil {
		if c.file == "" {
			x = s.Get("webhook-url")
		}
		return x.Errorf("%v", err)
	}
	return nil
}

// checkOne refuses settings of a webhook that has no URL.
func (c *webhookConfig) checkOne(s *settings.Set) error {
	if c.one.URL != "" {
		return nil
	}
	for _, x := range s.All() {
		if strings.HasPrefix(x.Name, "webhook-") && x.IsSet() {
			return x.Errorf("no webhook-url is set that this could be for")
		}
	}
	return nil
}

// parseWebhooks returns the entries in the text of webhooks-file.
func parseWebhooks(text []byte) (all []webhookEntry, err error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&all); err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlError(err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one document: write one list")
	}
	if len(all) == 0 {
		return nil, errors.New("holds no webhook: write a list of entries, each with a url and a group")
	}
	return all, nil
}

// read returns the endpoints, with what is in their files now. Its errors repeat no secret.
func (c *webhookConfig) read() (all []webhook.Endpoint, err error) {
	entries := c.listed
	if c.one.URL != "" {
		entries = append([]webhookEntry{c.one}, entries...)
	}
	for i := range entries {
		e, err := entries[i].endpoint()
		if err != nil {
			return nil, fmt.Errorf("the webhook of the group %q: %w", entries[i].Group, err)
		}
		if slices.ContainsFunc(all, func(o webhook.Endpoint) bool { return o.URL == e.URL && o.Group == e.Group }) {
			return nil, fmt.Errorf("two webhooks of the group %q have the same URL", e.Group)
		}
		all = append(all, e)
	}
	return all, nil
}

// Bounds of what a consumer may ask for, as the control API has them.
const (
	maxWebhookNamespaces = 100
	maxWebhookNamespace  = 256 // bytes of a name
	maxWebhookEvents     = 1000
	maxWebhookEvent      = 1024 // bytes of a name
)

// checkFilters refuses endpoints that ask for what there cannot be.
func checkFilters(all []webhook.Endpoint, served []string) error {
	for i := range all {
		if err := checkFilter(&all[i], served); err != nil {
			return fmt.Errorf("the webhook of the group %q: %w", all[i].Group, err)
		}
	}
	return nil
}

func checkFilter(e *webhook.Endpoint, served []string) error {
	if len(e.Namespaces) > maxWebhookNamespaces || len(e.Events) > maxWebhookEvents {
		return fmt.Errorf("it names more than %d namespaces or %d events", maxWebhookNamespaces, maxWebhookEvents)
	}
	for _, name := range e.Namespaces {
		if err := sio.CheckNamespace(name); err != nil {
			return err
		}
		if len(name) > maxWebhookNamespace || strings.ContainsFunc(name, unicode.IsControl) {
			return fmt.Errorf("the name of a namespace must have 1 to %d bytes, without control characters", maxWebhookNamespace)
		}
		if !slices.ContainsFunc(served, func(other string) bool { return sio.Overlap(other, name) }) {
			return fmt.Errorf("no namespace %s is served: see the setting namespaces", name)
		}
	}
	for _, name := range e.Events {
		switch {
		case name == "", len(name) > maxWebhookEvent:
			return fmt.Errorf("the name of an event must have 1 to %d bytes", maxWebhookEvent)
		case parser.Reserved(name):
			return fmt.Errorf("%q is no event of a browser: lifecycle has connections that come and go", name)
		}
	}
	return nil
}

// noPort reports whether the port that a URL names, digits, is too high for one.
func noPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return port != "" && err != nil
}

// endpoint is the entry with what is in its files.
func (w *webhookEntry) endpoint() (webhook.Endpoint, error) {
	e := webhook.Endpoint{
		URL: w.URL, Group: w.Group, Namespaces: fullNames(w.Namespaces), Events: w.Events, Lifecycle: w.Lifecycle, Authorize: w.Authorize,
		MaxInFlight: w.MaxInFlight, Timeout: w.Timeout,
	}
	u, err := url.Parse(w.URL)
	switch {
	case err != nil:
		return e, errors.New("its url is none")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return e, errors.New("its url must be an absolute one, http or https")
	case noPort(u.Port()):
		return e, fmt.Errorf("the port of its url, %s, is none", u.Port())
	case u.Fragment != "":
		return e, errors.New("its url has a fragment, which no server is sent")
	case w.Group == "", len(w.Group) > 128, strings.ContainsFunc(w.Group, unicode.IsControl):
		return e, errors.New("its group must have 1 to 128 bytes, without control characters")
	case w.MaxInFlight < 0 || w.MaxInFlight > webhook.MaxMaxInFlight:
		return e, fmt.Errorf("its max-in-flight must be from 1 to %d", webhook.MaxMaxInFlight)
	case w.Timeout != 0 && (w.Timeout < webhook.MinTimeout || w.Timeout > webhook.MaxTimeout):
		return e, fmt.Errorf("its timeout must be from %s to %s", webhook.MinTimeout, webhook.MaxTimeout)
	case w.CAFile != "" && u.Scheme != "https":
		return e, errors.New("it has a ca-file, which is for https only")
	}
	for _, f := range []struct {
		path string
		read func([]byte) error
	}{
		{w.SecretFile, func(text []byte) (err error) { e.Secrets, err = parseWebhookSecrets(text); return err }},
		{w.HeadersFile, func(text []byte) (err error) { e.Header, err = parseWebhookHeaders(text); return err }},
		{w.CAFile, func(text []byte) error {
			e.CA = x509.NewCertPool()
			if !e.CA.AppendCertsFromPEM(text) {
				return errors.New("holds no certificate in PEM")
			}
			return nil
		}},
	} {
		if f.path == "" {
			continue
		}
		text, err := settings.ReadFile(f.path)
		if err != nil {
			return e, err
		}
		if err := f.read(text); err != nil {
			return e, fmt.Errorf("the file %s %w", f.path, err)
		}
	}
	return e, nil
}

// fullNames are names of namespaces, the slash in front of which may be left out.
func fullNames(names []string) []string {
	full := slices.Clone(names)
	for i, name := range names {
		full[i] = fullName(name)
	}
	return full
}

// What a secret of Standard Webhooks may have, decoded.
const (
	minWebhookSecret  = 24 // bytes
	maxWebhookSecret  = 64 // bytes
	maxWebhookSecrets = 2  // the one in use, and during a rotation the next
)

// parseWebhookSecrets returns the secrets in a file, a line each.
func parseWebhookSecrets(text []byte) (all []*standardwebhooks.Webhook, err error) {
	for i, line := range strings.Fields(string(text)) {
		w, n, err := parseWebhookSecret(line)
		if err != nil {
			return nil, fmt.Errorf("has no base64 in line %d: write what openssl rand -base64 32 prints", i+1)
		}
		if n < minWebhookSecret || n > maxWebhookSecret {
			return nil, fmt.Errorf("has a secret of %d bytes in line %d: it must have %d to %d", n, i+1, minWebhookSecret, maxWebhookSecret)
		}
		all = append(all, w)
	}
	if len(all) == 0 || len(all) > maxWebhookSecrets {
		return nil, fmt.Errorf("has %d secrets: it must have one or two, a line each", len(all))
	}
	return all, nil
}

// parseWebhookHeaders returns the headers in a file, a line each.
func parseWebhookHeaders(text []byte) (http.Header, error) {
	h := http.Header{}
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("has no header in line %d: write NAME: VALUE", i+1)
		}
		h.Add(textproto.CanonicalMIMEHeaderKey(name), value)
	}
	return h, nil
}

// open returns the endpoints that others could forge requests to, or read them on their
// way.
func (c *webhookConfig) open() (unsigned, plain []string) {
	for _, e := range c.endpoints {
		u, err := url.Parse(e.URL)
		if err != nil || isLoopback(u.Hostname()) {
			continue
		}
		if len(e.Secrets) == 0 {
			unsigned = append(unsigned, u.Host)
		}
		if u.Scheme == "http" {
			plain = append(plain, u.Host)
		}
	}
	return unsigned, plain
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
