package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/fanoutd/fanoutd/internal/cli"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// config is what the daemon was told, valid and complete, by subject. Each
// subject has a file settings_*.go, which declares its settings, refuses what
// makes no sense together, and maps it to the options of the packages it is for.
type config struct {
	listeners  listenerConfig
	browsers   browserConfig
	exposure   exposureConfig
	namespaces namespaceConfig
	tokens     tokenConfig
	hook       hookConfig
	consumers  consumerConfig
	webhooks   webhookConfig
	limits     limitConfig
	cluster    clusterConfig
	operations operationConfig

	set     *settings.Set // what it was read as
	unknown []settings.UnknownVariable
}

// subject is a part of config.
type subject struct {
	declare func(*settings.Set)       // adds its settings, each with its default in the config
	check   func(*settings.Set) error // reads its files, and refuses what makes no sense together; nil: nothing of that
	needs   []string                  // settings of others that check looks at; declareAll adds its own
}

// subjects are all of them, in the order of the help.
func (c *config) subjects() []subject {
	return []subject{
		{declare: c.listeners.declare, check: c.listeners.check},
		{declare: c.browsers.declare, check: c.browsers.check},
		{declare: c.exposure.declare, needs: []string{"cookie"},
			check: func(s *settings.Set) error { return c.exposure.check(s, c.browsers.cookie.Name) }},
		{declare: c.namespaces.declare, check: c.namespaces.check},
		{declare: c.tokens.declare, check: c.tokens.check},
		{declare: c.hook.declare, check: c.hook.check},
		{declare: c.consumers.declare, needs: []string{"namespaces"},
			check: func(s *settings.Set) error { return c.consumers.check(s, c.namespaces.names) }},
		{declare: c.webhooks.declare, needs: []string{"namespaces"},
			check: func(s *settings.Set) error { return c.webhooks.check(s, c.namespaces.names) }},
		{declare: c.limits.declare},
		{declare: c.cluster.declare, needs: []string{"listen", "proxy-protocol"},
			check: func(s *settings.Set) error { return c.cluster.check(s, c.closedToNodes()) }},
		{declare: c.operations.declare, check: c.operations.check},
		{declare: func(*settings.Set) {}, needs: []string{"listen", "control-listen", "ops-listen", "cluster-listen", "cluster-forward-listen"},
			check: c.checkAddresses},
		{declare: func(*settings.Set) {}, needs: []string{"transports", "webtransport-listen"}, check: c.checkTransports},
	}
}

// newSettings declares all settings, each with its default in c, in the order of
// the help.
func newSettings(c *config) *settings.Set {
	s, _ := declareAll(c)
	return s
}

func declareAll(c *config) (*settings.Set, []subject) {
	s := settings.New("fanoutd")
	s.OtherVariables = cli.Variables()
	all := c.subjects()
	declared := map[string]bool{}
	for i := range all {
		all[i].declare(s)
		for _, x := range s.All() {
			if !declared[x.Name] {
				declared[x.Name] = true
				all[i].needs = append(all[i].needs, x.Name)
			}
		}
	}
	return s, all
}

// load reads the settings from the command line, the environment ("NAME=value")
// and the file, in this order of precedence. Its error is all problems that were
// found ([settings.Problems]), each one line for the person at the terminal; with
// one, only the unknown variables are of use.
func load(args, environ []string) (*config, error) { return loadText(args, environ, nil) }

// loadText is load where text is what the file holds; nil: it is read.
func loadText(args, environ []string, text []byte) (*config, error) {
	c := &config{}
	s, subjects := declareAll(c)
	s.FileText = text
	c.set = s
	err := s.Read(args, environ)
	c.unknown = s.Unknown()
	if errors.Is(err, settings.ErrHelp) {
		return c, err
	}
	problems := []error{err, s.CheckFiles()}
	for _, x := range subjects {
		if x.check != nil && !s.Bad(x.needs...) {
			problems = append(problems, x.check(s))
		}
	}
	return c, settings.Join(problems...)
}

// warn says what is open to more people than one may think.
func (c *config) warn(log *slog.Logger) {
	if c.listeners.insecureControl {
		log.Warn("everybody who reaches the control listener may send and disconnect: insecure-control is set",
			"address", c.listeners.control.String())
	}
	if weak := c.listeners.weakKey(); weak > 0 {
		log.Warn("a control key is short enough to be guessed by whoever reaches the control listener",
			"key", weak, "bytes", minKey, "address", c.listeners.control.String())
	}
	if len(c.listeners.controlKeys) > 0 && !c.listeners.control.Private() && !c.listeners.controlTLS.on() {
		log.Warn("control keys are sent to the control listener in plain text: set control-tls-cert-file, unless the network keeps them secret",
			"address", c.listeners.control.String())
	}
	if !c.listeners.operators.Private() {
		log.Warn("the operators' listener asks nobody who they are and others may reach it",
			"address", c.listeners.operators.String())
		if c.listeners.noConsole() == "" {
			log.Warn("control keys are sent to the console in plain text: have a proxy with TLS in front of it, or set console to false, unless the network keeps them secret",
				"address", c.listeners.operators.String())
		}
	}
	c.cluster.warn(log)
	unsigned, plain := c.webhooks.open()
	if len(unsigned) > 0 {
		log.Warn("a webhook cannot tell the daemon's requests from forged ones: set its secret-file", "hosts", unsigned)
	}
	if len(plain) > 0 {
		log.Warn("what browsers send goes to a webhook in plain text: use https, unless the network keeps it secret", "hosts", plain)
	}
	if c.hook.on() && !c.hook.encrypted() && !c.hook.address.Private() {
		log.Warn("what browsers pass as auth goes to the hook in plain text: set hook-tls or hook-ca", "address", c.hook.address.String())
	}
}

// printServeHelp prints all settings with their defaults.
func printServeHelp(w io.Writer) {
	fmt.Fprint(w, `Run the daemon: browsers connect by Socket.IO, backends tell it by gRPC what to send to whom.

Usage:
  fanoutd [serve] [flags]

Each setting can be a flag, an environment variable or a key of the file that
--config names; a flag overrides a variable, a variable overrides the file.
Lists are separated by commas, or YAML lists in the file. --ping-interval,
FANOUTD_PING_INTERVAL, ping-interval and ping_interval are the same.

`)
	newSettings(&config{}).WriteHelp(w)
	fmt.Fprint(w, `
Exit codes: 0 after a shutdown, 1 if a listener cannot be bound or serving
fails, 2 if the settings are wrong.
`)
}

// printFlagsHelp prints the help of a command that reads its flags by itself.
func printFlagsHelp(w io.Writer, c *cobra.Command, own flagsRead) {
	title := "Flags"
	if own.settings {
		title = "Flags besides the settings, which fanoutd help serve lists"
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s [flags]\n\n%s:\n", c.Long, c.CommandPath(), title)
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	own.add(fs)
	fs.VisitAll(func(f *flag.Flag) {
		_, usage := flag.UnquoteUsage(f)
		settings.WriteFlag(w, f.Name, usage)
	})
}
