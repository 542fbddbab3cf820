package main

import (
	"errors"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// reloader makes settings that have changed take effect in a running daemon.
type reloader struct {
	settings []string // reloadable ones

	// apply makes those of next take effect, which is valid as a whole. It is called
	// whether they have changed or not, since what is in their files may have. An error,
	// errRestart above all, means that all is as before.
	apply func(next *config) error
}

// errRestart is what apply returns for a change that only a restart brings.
var errRestart = errors.New("this change takes a restart")

// followedFiles are the settings whose files are looked at again and again by those who
// use them: of these a change of what is in the file takes effect, and SIGHUP may only make
// it sooner.
var followedFiles = []string{
	"control-key-file", "control-keys-file",
	"tls-cert-file", "tls-key-file", "webtransport-cert-file", "webtransport-key-file",
	"control-tls-cert-file", "control-tls-key-file", "control-client-ca-file",
	"cluster-tls-cert-file", "cluster-tls-key-file", "cluster-tls-ca-file",
}

// reloaders are all of them; what is in followedFiles needs none.
func (d *daemon) reloaders() []reloader {
	return []reloader{
		{[]string{"log-level"}, func(next *config) error {
			d.source.level.Set(next.operations.logLevel)
			return nil
		}},
		{[]string{"control-key"}, d.setControlKeys},
		{[]string{"origins", "trusted-proxies"}, func(next *config) error {
			d.sockets.SetAccess(next.browsers.access())
			return nil
		}},
		{[]string{
			"max-sessions", "max-pending", "max-address-sessions", "max-address-pending", "max-address-rate", "max-handshake-rate", "start-ramp",
		}, func(next *config) error {
			var o engineio.Options
			next.limits.engineOptions(&o)
			d.sockets.SetLimits(o.Limits)
			return nil
		}},
		{[]string{
			"jwt-secret", "jwt-secret-file", "jwt-public-key-file", "jwt-algorithms", "jwt-issuer", "jwt-audience", "jwt-user-claim",
		}, d.admission.replaceTokens},
		{[]string{"hook-key", "hook-key-file"}, d.admission.replaceHookKey},
		{[]string{
			"webhook-url", "webhook-group", "webhook-namespaces", "webhook-events", "webhook-lifecycle", "webhook-authorize", "webhook-secret-file",
			"webhook-max-in-flight", "webhook-timeout", "webhook-headers-file", "webhook-ca-file", "webhooks-file",
		}, d.replaceWebhooks},
	}
}

// access says which requests of browsers are served as whose.
func (c *browserConfig) access() engineio.Access {
	return engineio.Access{Origins: c.origins, Proxies: c.proxies}
}
