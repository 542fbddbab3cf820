package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/fanoutd/fanoutd/internal/settings"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// reloader makes settings that have changed take effect in a running daemon.
type reloader struct {
	settings []string // reloadable ones

	// apply makes those of next take effect, which is valid as a whole. It is called at
	// each SIGHUP, whether they have changed or not, since files that they name may have.
	// An error, errRestart above all, means that all is as before.
	apply func(next *config) error
}

// errRestart is what apply returns for a change that only a restart brings.
var errRestart = errors.New("this change takes a restart")

// followedFiles are the settings whose files are looked at again and again by those who
// use them: of these a change of what is in the file takes effect, and SIGHUP may only make
// it sooner.
var followedFiles = []string{
	"control-key-file",
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
	}
}

// access says which requests of browsers are served as whose.
func (c *browserConfig) access() engineio.Access {
	return engineio.Access{Origins: c.origins, Proxies: c.proxies}
}

// source is where the settings of a daemon came from, and come from again.
type source struct {
	hangups chan os.Signal          // has one for each SIGHUP; several at once may be one
	load    func() (*config, error) // reads the file once more; the rest is as at the start
	level   *slog.LevelVar          // of the logger
}

// newSource returns the source of what load reads. From here on SIGHUP does not end the
// process.
func newSource(load func() (*config, error)) *source {
	o := &source{hangups: make(chan os.Signal, 1), load: load, level: &slog.LevelVar{}}
	signal.Notify(o.hangups, syscall.SIGHUP)
	return o
}

// followSettings reads the settings again at each SIGHUP, until ctx ends.
func (d *daemon) followSettings(ctx context.Context) {
	inForce := d.config.set.Texts()
	for {
		select {
		case <-d.source.hangups:
			d.reload(inForce)
		case <-ctx.Done():
			return
		}
	}
}

// reload has what can change without a restart take effect, and logs what cannot.
// inForce is what is in force of each setting, which it keeps so.
func (d *daemon) reload(inForce map[string]string) {
	next, err := d.source.load()
	if err != nil {
		for _, problem := range settings.Each(err) {
			d.log.Error("SIGHUP: the settings stay as they are", "error", problem)
		}
		return
	}
	changed := map[string]string{}
	for name, text := range next.set.Texts() {
		if inForce[name] != text {
			changed[name] = text
		}
	}
	var applied, restart []string
	for _, r := range d.reloaders() {
		err := r.apply(next)
		if err != nil && !errors.Is(err, errRestart) {
			d.log.Error("SIGHUP: settings stay as they are", "settings", r.settings, "error", err)
		}
		for _, name := range r.settings {
			text, ok := changed[name]
			if ok && err == nil {
				inForce[name] = text
				applied = append(applied, name)
				delete(changed, name)
			}
		}
	}
	for name := range changed {
		restart = append(restart, name)
	}
	slices.Sort(restart)
	d.log.Info("SIGHUP: the settings have been read again", "changed", applied)
	if len(restart) > 0 {
		d.log.Warn("SIGHUP: settings have changed that take effect at a restart only", "settings", restart)
	}
}
