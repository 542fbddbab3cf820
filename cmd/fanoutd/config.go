package main

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// config is what the daemon was told, valid and complete.
type config struct {
	listen        address
	controlListen address
	opsListen     address

	controlKeys     []string
	controlKeyFile  string
	insecureControl bool

	namespaces     []string
	origins        engineio.Origins
	pingInterval   time.Duration
	pingTimeout    time.Duration
	connectTimeout time.Duration
	upgradeTimeout time.Duration
	maxPayload     int // bytes
	maxQueue       int // bytes

	sockets socketConfig

	serveClient bool
	demo        bool

	auth      authConfig
	engine    engineConfig
	consumers consumerConfig

	logLevel  slog.Level
	logFormat string
	grace     time.Duration

	file string

	unknown []unknownVariable // what the environment has that looks like ours
}

// Formats of the log.
const (
	logText = "text"
	logJSON = "json"
)

// Bounds of sizes in bytes. One message is held in memory as a whole, and
// MaxPayload is doubled for a packet with its attachments.
const (
	minPayload = 1 << 10
	maxPayload = 256 << 20
	minQueue   = 16 << 10
	maxQueue   = 1 << 30
)

// newSettings returns all settings, each with its default in c. This list is
// the only one: flags, variables, keys of the file and the help follow from it.
func newSettings(c *config) *settings {
	s := &settings{}
	s.add("listen", "where browsers connect: HOST:PORT, or :PORT for every interface",
		addressValue(&c.listen, ":8080", false))
	s.add("control-listen", "where backends call gRPC: HOST:PORT or unix:/PATH; beyond loopback and unix it needs control-key",
		addressValue(&c.controlListen, "127.0.0.1:8081", true))
	s.add("ops-listen", "where operators find health, metrics and profiles: HOST:PORT; nobody is asked who they are",
		addressValue(&c.opsListen, "127.0.0.1:8082", false))

	s.add("control-key", "the bearer key that backends send, or two during a rotation; a command line is no secret, so prefer the variable or control-key-file",
		listValue(&c.controlKeys, nil, "one or two keys without blanks or commas", parseKeys)).secret = true
	s.add("control-key-file", "a file with the keys instead, one a line",
		stringValue(&c.controlKeyFile, ""))
	s.add("insecure-control", "let everybody who reaches control-listen call without a key",
		boolValue(&c.insecureControl, false))

	s.add("namespaces", "the namespaces that clients may join; /tenant-* lets them join, and so make, any whose name fits",
		listValue(&c.namespaces, []string{"/"}, "names such as /chat and patterns such as /tenant-*, each once, without comma or question mark", parseNamespaces))
	s.add("origins", "web pages that may connect besides those of the same origin: https://app.example.com, https://*.example.com, or * for all of the web",
		listValue(&c.origins, nil, "origins such as https://app.example.com, https://*.example.com or *", engineio.ParseOrigins))
	s.add("ping-interval", "how often each client is pinged",
		durationValue(&c.pingInterval, engineio.DefaultPingInterval))
	s.add("ping-timeout", "how long the answer to a ping may take",
		durationValue(&c.pingTimeout, engineio.DefaultPingTimeout))
	s.add("connect-timeout", "how long a client may stay without joining a namespace",
		durationValue(&c.connectTimeout, sio.DefaultConnectTimeout))
	s.add("upgrade-timeout", "how long an upgrade to WebSocket may take",
		durationValue(&c.upgradeTimeout, engineio.DefaultUpgradeTimeout))
	s.add("max-payload", "bytes of one message from a browser",
		bytesValue(&c.maxPayload, engineio.DefaultMaxPayload, minPayload, maxPayload))
	s.add("max-queue", "bytes that may wait for one client, 128 for each message beside its own; one that falls further behind is closed",
		bytesValue(&c.maxQueue, engineio.DefaultMaxQueue, minQueue, maxQueue))

	s.add("serve-client", "serve the Socket.IO client at /socket.io/socket.io.js",
		boolValue(&c.serveClient, true))
	s.add("demo", "serve a demo page at /",
		boolValue(&c.demo, false))

	c.sockets.add(s)
	c.engine.add(s)

	c.auth.add(s)
	c.consumers.add(s)

	s.add("log-level", "what is logged: debug, info, warn or error and above",
		choiceValue(&c.logLevel, "info", map[string]slog.Level{
			"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
		}))
	s.add("log-format", "how it is logged: text or json",
		choiceValue(&c.logFormat, logText, map[string]string{logText: logText, logJSON: logJSON}))
	s.add("grace", "how long a shutdown waits for clients and calls to end by themselves",
		durationValue(&c.grace, 10*time.Second))
	s.add(configName, "a YAML file with settings: the names above as keys",
		stringValue(&c.file, ""))
	return s
}

// load reads the settings from the command line, the environment ("NAME=value")
// and the file, in this order of precedence. Its errors are one line for the
// person at the terminal; with one, only the unknown variables are of use.
func load(args, environ []string) (*config, error) {
	c := &config{}
	s := newSettings(c)
	err := s.read(args, environ)
	c.unknown = s.unknown
	if err != nil {
		return c, err
	}
	if err := c.readKeys(s); err != nil {
		return c, err
	}
	if err := c.auth.read(s); err != nil {
		return c, err
	}
	return c, c.check(s)
}

// readKeys reads control-key-file, if there is one. A key that was meant to be
// there and is not, as when a secret was not mounted, opens no door.
func (c *config) readKeys(s *settings) error {
	given, key := s.get("control-key"), s.get("control-key-file")
	switch {
	case len(c.controlKeys) == 0 && given.isSet():
		return given.errorf("is set, but empty: leave it out if no key is meant")
	case c.controlKeyFile == "" && key.isSet():
		return key.errorf("is set, but empty: leave it out if no key is meant")
	case c.controlKeyFile == "":
		return nil
	case given.isSet():
		return key.errorf("control-key is set too (%s): set one of them", given.from)
	}
	text, err := readSmall(c.controlKeyFile)
	if err != nil {
		return key.errorf("%v", err)
	}
	if c.controlKeys, err = parseKeys(strings.Fields(string(text))); err != nil {
		return key.errorf("the file %s: %v", c.controlKeyFile, err)
	}
	if len(c.controlKeys) == 0 {
		return key.errorf("the file %s holds no key", c.controlKeyFile)
	}
	return nil
}

// check refuses settings that make no sense together.
func (c *config) check(s *settings) error {
	switch control := s.get("control-listen"); {
	case len(c.controlKeys) > 0 && c.insecureControl:
		return s.get("insecure-control").errorf("a control key is set too: only one can be meant")
	case len(c.controlKeys) == 0 && !c.insecureControl && !c.controlListen.private():
		return control.errorf("others can reach %s: set control-key or control-key-file, listen on loopback or unix:/PATH, or allow everybody with --insecure-control", c.controlListen)
	case c.demo && !c.serveClient:
		return s.get("demo").errorf("the page loads the client that serve-client switches off")
	}
	for name, byNamespace := range map[string][]string{
		"volatile":    slices.Sorted(maps.Keys(c.sockets.volatile.policies)),
		"no-consumer": slices.Sorted(maps.Keys(c.consumers.absence.policies)),
	} {
		for _, namespace := range byNamespace {
			if !slices.Contains(c.namespaces, namespace) {
				return s.get(name).errorf("namespaces has no %q", namespace)
			}
		}
	}
	if err := c.engine.webTransport.read(s); err != nil {
		return err
	}
	return c.auth.checkHook(s, c.pingTimeout)
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

// parseNamespaces checks the namespaces; the slash in front may be left out.
func parseNamespaces(names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("no namespace: nobody could connect")
	}
	seen := map[string]bool{}
	full := make([]string, len(names))
	for i, name := range names {
		if !strings.HasPrefix(name, "/") {
			name = "/" + name
		}
		if err := sio.CheckNamespace(name); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("%s is listed twice", name)
		}
		seen[name] = true
		full[i] = name
	}
	return full, nil
}

// address is where a listener listens.
type address struct {
	network string // "tcp" or "unix"
	name    string // host:port, or the path of the socket
}

func (a address) String() string {
	if a.network == "unix" {
		return "unix:" + a.name
	}
	return a.name
}

// private reports whether only this machine can reach the address. A name
// other than localhost may mean anything.
func (a address) private() bool {
	if a.network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(a.name)
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// readSmall reads a file that a person wrote.
func readSmall(path string) ([]byte, error) {
	const most = 1 << 20 // far beyond any settings; a device or a pipe is a mistake
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, most)
	}
	return os.ReadFile(path)
}
