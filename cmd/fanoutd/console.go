package main

import (
	"net/http"

	"github.com/fanoutd/fanoutd/internal/console"
	"github.com/fanoutd/fanoutd/web"
)

// console is the operators' console, or why there is none.
func (d *daemon) console(metrics http.Handler, version string) http.Handler {
	c := &d.config.listeners
	if why := c.noConsole(); why != "" {
		return console.Off(why)
	}
	d.history = console.NewHistory(d.figures)
	return console.New(console.Options{
		Files: web.Console(console.Path), API: d.backends.http, Metrics: metrics, History: d.history,
		Callers: d.callers, Refusals: d.services.Errors,
		Open: len(c.credentials()) == 0, Hosts: c.controlHosts,
		Node: d.config.cluster.node, Version: version, Control: display(d.listeners.backends), ControlTLS: c.controlTLS.on(),
		Logger: d.log,
	})
}

// figures is what the console has charts of, as the metrics have it.
func (d *daemon) figures() console.Figures {
	s := d.sockets.Stats()
	return console.Figures{
		Connections: s.Connections, Rooms: s.Rooms, Queued: s.Engine.Queued, Received: s.Received, Sent: s.Sent,
		FanOuts: s.FanOut.Count, FanOutSeconds: s.FanOut.Sum.Seconds(),
	}
}

// noConsole returns why the console is not served, or nothing if it is.
func (c *listenerConfig) noConsole() string {
	bearer := false
	for _, k := range c.credentials() {
		bearer = bearer || k.Certificate == ""
	}
	switch known := len(c.credentials()) > 0; {
	case !c.console:
		return "the setting console is off (--console, FANOUTD_CONSOLE)"
	case known && !bearer:
		return "it asks for a control key, and only certificates are known: set control-key-file or control-keys-file"
	case !known && !c.operators.Private():
		return "others can reach ops-listen, and no control key is set that it could ask for: set control-key-file or control-keys-file, or listen on loopback or unix:/PATH"
	case c.weakKey() > 0 && !c.operators.Private():
		return "others can reach ops-listen, and a control key is short enough to be guessed"
	}
	return ""
}

// guessable reports whether others than those on this machine may try keys.
func (c *listenerConfig) guessable() bool {
	return !c.control.Private() || c.noConsole() == "" && !c.operators.Private()
}
