package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// writeFile writes a settings file and returns its path.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fanoutd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c, err := load(nil, []string{"HOME=/", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	if c.listen.String() != ":8080" || c.controlListen.String() != "127.0.0.1:8081" || c.opsListen.String() != "127.0.0.1:8082" {
		t.Errorf("listeners %s, %s, %s", c.listen, c.controlListen, c.opsListen)
	}
	if c.pingInterval != 25*time.Second || c.pingTimeout != 20*time.Second || c.connectTimeout != 45*time.Second || c.upgradeTimeout != 10*time.Second {
		t.Errorf("times %v, %v, %v, %v", c.pingInterval, c.pingTimeout, c.connectTimeout, c.upgradeTimeout)
	}
	if !slices.Equal(c.namespaces, []string{"/"}) || c.maxPayload != 1_000_000 || !c.serveClient || c.demo || c.insecureControl || c.controlKeys != nil {
		t.Errorf("%+v", c)
	}
}

func TestPrecedence(t *testing.T) {
	const key, variable = "ping-interval", "FANOUTD_PING_INTERVAL"
	tests := []struct {
		name string
		file string
		env  string
		args []string
		want time.Duration
	}{
		{"default", "", "", nil, 25 * time.Second},
		{"file", "ping-interval: 1s", "", nil, time.Second},
		{"file, underscore", "ping_interval: 1s", "", nil, time.Second},
		{"environment", "", variable + "=2s", nil, 2 * time.Second},
		{"flag", "", "", []string{"--" + key + "=3s"}, 3 * time.Second},
		{"flag, one hyphen, two words", "", "", []string{"-" + key, "300ms"}, 300 * time.Millisecond},
		{"the last of two flags", "", "", []string{"--" + key + "=4s", "--" + key + "=3s"}, 3 * time.Second},
		{"environment over file", "ping-interval: 1s", variable + "=2s", nil, 2 * time.Second},
		{"flag over file", "ping-interval: 1s", "", []string{"--" + key + "=3s"}, 3 * time.Second},
		{"flag over environment", "", variable + "=2s", []string{"--" + key + "=3s"}, 3 * time.Second},
		{"flag over all", "ping-interval: 1s", variable + "=2s", []string{"--" + key + "=3s"}, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			environ := []string{tt.env}
			if tt.file != "" {
				environ = append(environ, "FANOUTD_CONFIG="+writeFile(t, tt.file))
			}
			c, err := load(tt.args, environ)
			if err != nil {
				t.Fatal(err)
			}
			if c.pingInterval != tt.want {
				t.Errorf("got %v, want %v", c.pingInterval, tt.want)
			}
		})
	}
	t.Run("flag names another file than the environment", func(t *testing.T) {
		c, err := load([]string{"--config", writeFile(t, "grace: 1s")}, []string{"FANOUTD_CONFIG=/nonexistent"})
		if err != nil || c.grace != time.Second {
			t.Errorf("got %+v, %v", c, err)
		}
	})
}

func TestLists(t *testing.T) {
	want := []string{"/", "/chat", "/a b"}
	for name, given := range map[string]struct {
		file, env string
		args      []string
	}{
		"flag":            {args: []string{"--namespaces", "/, /chat,a b"}},
		"environment":     {env: "FANOUTD_NAMESPACES=/,chat,/a b"},
		"file, list":      {file: "namespaces:\n- /\n- chat\n- /a b\n"},
		"file, flow list": {file: "namespaces: [/, /chat, a b]"},
		"file, one word":  {file: "namespaces: /,/chat,/a b"},
	} {
		t.Run(name, func(t *testing.T) {
			args := given.args
			if given.file != "" {
				args = append(args, "--config", writeFile(t, given.file))
			}
			c, err := load(args, []string{given.env})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(c.namespaces, want) {
				t.Errorf("got %q, want %q", c.namespaces, want)
			}
		})
	}
}

// TestRefusals checks that each mistake names the setting, where it stands and
// what is allowed, in one line.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  string
		file string
		want []string // all in the error
	}{
		{"unknown flag", []string{"--pong=1"}, "", "", []string{"--pong", "allowed: listen, "}},
		{"unknown key", nil, "", "listen: :1\npong: 1\n", []string{`"pong"`, "fanoutd.yaml, line 2", "allowed: listen, "}},
		{"key in capitals", nil, "", "Listen: :1", []string{`"Listen"`, "line 1"}},

		{"bad flag", []string{"--ping-interval=25"}, "", "", []string{"ping-interval", "flag --ping-interval", `"25"`, "300ms"}},
		{"bad variable", nil, "FANOUTD_PING_TIMEOUT=-1s", "", []string{"ping-timeout", "FANOUTD_PING_TIMEOUT", `"-1s"`, "1ms to 24h"}},
		{"bad key", nil, "", "connect_timeout: soon", []string{"connect-timeout", "line 1", `"soon"`, "allowed"}},
		{"bad key under a good flag", []string{"--grace=1s"}, "", "grace: x", []string{"grace", "line 1"}},
		{"bad variable under a good flag", []string{"--grace=1s"}, "FANOUTD_GRACE=x", "", []string{"grace", "FANOUTD_GRACE"}},
		{"empty variable", nil, "FANOUTD_GRACE=", "", []string{"grace", "FANOUTD_GRACE"}},
		{"bad switch", []string{"--demo=yes"}, "", "", []string{"demo", `"yes"`, "true or false"}},
		{"switch and word", []string{"--demo", "false"}, "", "", []string{`"false"`, "--demo=false"}},
		{"flag without value", []string{"--listen"}, "", "", []string{"listen"}},
		{"bad choice", []string{"--log-level=loud"}, "", "", []string{"log-level", "debug, error, info, warn"}},
		{"bad format", []string{"--log-format=xml"}, "", "", []string{"log-format", "json, text"}},
		{"address without port", []string{"--listen=localhost"}, "", "", []string{"listen", "HOST:PORT"}},
		{"port too high", []string{"--listen=:65536"}, "", "", []string{"listen", ":65536"}},
		{"named port", []string{"--listen=:http"}, "", "", []string{"listen", ":http"}},
		{"unix for browsers", []string{"--listen=unix:/x"}, "", "", []string{"listen", "unix:/x"}},
		{"unix, relative", []string{"--control-listen=unix:x"}, "", "", []string{"control-listen", "unix:/PATH"}},
		{"payload too small", []string{"--max-payload=0"}, "", "", []string{"max-payload", "from 1024"}},
		{"payload with unit", []string{"--max-payload=1MB"}, "", "", []string{"max-payload", "number of bytes"}},
		{"queue too small", []string{"--max-queue=1"}, "", "", []string{"max-queue"}},

		{"origin without scheme", []string{"--origins=example.com"}, "", "", []string{"origins", `"example.com"`, "https://"}},
		{"origins twice", []string{"--origins=https://a", "--origins=https://b"}, "", "", []string{"origins", "2 times"}},
		{"no namespaces", []string{"--namespaces="}, "", "", []string{"namespaces", "no namespace"}},
		{"namespace with comma", nil, "", "namespaces: ['/a,b']", []string{"namespaces", "/a,b"}},
		{"namespace twice", []string{"--namespaces=/a,a"}, "", "", []string{"namespaces", "twice"}},
		{"empty entry", []string{"--namespaces=/a,,/b"}, "", "", []string{"namespaces", "empty"}},

		{"key twice", nil, "", "ping-interval: 1s\nping_interval: 1s", []string{"ping-interval", "line 2", "already in line 1"}},
		{"list for a word", nil, "", "grace: [1s]", []string{"grace", "line 1", "single word"}},
		{"mapping for a list", nil, "", "origins: {a: b}", []string{"origins", "neither a word nor a list"}},
		{"nothing for a word", nil, "", "grace:", []string{"grace", "single word"}},
		{"mapping in a list", nil, "", "origins: [https://a, {b: c}]", []string{"origins", "entry 2"}},
		{"file in a file", nil, "", "config: other", []string{"config", "line 1"}},
		{"no mapping", nil, "", "- listen", []string{"config", "line 1", "mapping"}},
		{"no YAML", nil, "", "a: [", []string{"config", "yaml"}},
		{"two documents", nil, "", "grace: 1s\n---\ngrace: 2s", []string{"config", "more than one document"}},
		{"no such file", []string{"--config=/nonexistent/x"}, "", "", []string{"config", "flag --config", "/nonexistent/x"}},
		{"file is a folder", nil, "FANOUTD_CONFIG=/", "", []string{"config", "FANOUTD_CONFIG"}},
		{"demo without client", []string{"--demo", "--serve-client=false"}, "", "", []string{"demo", "serve-client"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := tt.args
			if tt.file != "" {
				args = append(args, "--config="+writeFile(t, tt.file))
			}
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), args, []string{tt.env}, &stdout, &stderr); code != exitSettings {
				t.Errorf("exit code %d", code)
			}
			got := stderr.String()
			if strings.Count(got, "\n") != 1 || stdout.Len() > 0 {
				t.Errorf("not one line: %q, %q", got, stdout.String())
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in: %s", want, got)
				}
			}
		})
	}
}

// Kubernetes describes every Service to the containers beside it by variables
// that begin with the Service's name, and a Service may be called fanoutd or
// fanoutd-anything.
func TestServiceVariables(t *testing.T) {
	for _, service := range []string{"FANOUTD", "FANOUTD_CONTROL", "FANOUTD_OPS", "FANOUTD_HEADLESS_2", "FANOUTD_LISTEN", "FANOUTD_SERVICE"} {
		t.Run(service, func(t *testing.T) {
			c, err := load(nil, []string{
				service + "_SERVICE_HOST=10.0.0.7", service + "_SERVICE_PORT=8080", service + "_SERVICE_PORT_GRPC_WEB=8081",
				service + "_PORT=tcp://10.0.0.7:8080", service + "_PORT_8080_TCP=tcp://10.0.0.7:8080", service + "_PORT_8080_TCP_PROTO=tcp",
				service + "_PORT_8080_TCP_PORT=8080", service + "_PORT_8080_TCP_ADDR=10.0.0.7", service + "_PORT_53_UDP=udp://[fd00::7]:53",
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(c.unknown) > 0 {
				t.Errorf("unknown variables: %v", c.unknown)
			}
		})
	}
}

// A variable that is no setting may belong to something else, so it does not
// keep the daemon from starting; it may be a mistake, so it is named.
func TestUnknownVariables(t *testing.T) {
	for _, tt := range []struct{ variable, nearest string }{
		{"FANOUTD_PONG=1", ""},
		{"FANOUTD_listen=:1", "FANOUTD_LISTEN"},
		{"FANOUTD_PING-INTERVAL=1s", "FANOUTD_PING_INTERVAL"},
		{"FANOUTD_PING_INTERVALL=1s", "FANOUTD_PING_INTERVAL"},
		{"FANOUTD_CONTROL_PORT=8081", ""}, // no link of Kubernetes, whose value is a URL
		{"FANOUTD_MAX_PAYLOD=1", "FANOUTD_MAX_PAYLOAD"},
	} {
		name, _, _ := strings.Cut(tt.variable, "=")
		c, err := load(nil, []string{tt.variable})
		if err != nil {
			t.Errorf("%s: %v", tt.variable, err)
			continue
		}
		if len(c.unknown) != 1 || c.unknown[0].name != name || tt.nearest != "" && c.unknown[0].nearest != tt.nearest {
			t.Errorf("%s: unknown variables %+v, want it alone, nearest %s", tt.variable, c.unknown, tt.nearest)
		}
	}
	var stdout, stderr bytes.Buffer
	if run(t.Context(), []string{"--grace=x"}, []string{"FANOUTD_GRASE=1s"}, &stdout, &stderr); !strings.Contains(stderr.String(), "FANOUTD_GRASE is no setting") {
		t.Errorf("beside an error the variable goes unnamed: %s", &stderr)
	}
}

func TestControlExposure(t *testing.T) {
	tests := []struct {
		listen  string
		args    []string
		refused bool
	}{
		{"127.0.0.1:0", nil, false},
		{"127.9.9.9:0", nil, false},
		{"[::1]:0", nil, false},
		{"localhost:0", nil, false},
		{"unix:/run/fanoutd.sock", nil, false},
		{":0", nil, true},
		{"0.0.0.0:0", nil, true},
		{"[::]:0", nil, true},
		{"10.0.0.1:0", nil, true},
		{"localhost.example.com:0", nil, true},
		{"example.com:0", nil, true},
		{":0", []string{"--control-key=k"}, false},
		{":0", []string{"--insecure-control"}, false},
		{":0", []string{"--insecure-control=false"}, true},
	}
	for _, tt := range tests {
		t.Run(strings.Join(append(tt.args, tt.listen), " "), func(t *testing.T) {
			_, err := load(append(tt.args, "--control-listen", tt.listen), nil)
			if (err != nil) != tt.refused {
				t.Fatalf("got %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "--insecure-control") {
				t.Errorf("does not say what to do: %v", err)
			}
		})
	}
}

func TestControlKeys(t *testing.T) {
	const secret = "s3cr3t-one"
	file := writeFile(t, secret+"\ntwo\n")
	tests := []struct {
		name string
		args []string
		env  string
		want []string // keys; nil: refused
		msg  string
	}{
		{"flag", []string{"--control-key=" + secret}, "", []string{secret}, ""},
		{"environment", nil, "FANOUTD_CONTROL_KEY=" + secret + ",two", []string{secret, "two"}, ""},
		{"file", []string{"--control-key-file=" + file}, "", []string{secret, "two"}, ""},
		{"three", []string{"--control-key=" + secret + ",b,c"}, "", nil, "at most two"},
		{"blank inside", []string{"--control-key=" + secret + " x"}, "", nil, "blank"},
		{"empty entry", nil, "FANOUTD_CONTROL_KEY=," + secret, nil, "empty"},
		{"empty variable", nil, "FANOUTD_CONTROL_KEY=", nil, "empty"},
		{"empty file name", []string{"--control-key-file="}, "", nil, "empty"},
		{"empty file", []string{"--control-key-file=" + writeFile(t, "\n")}, "", nil, "holds no key"},
		{"missing file", []string{"--control-key-file=/nonexistent"}, "", nil, "/nonexistent"},
		{"both", []string{"--control-key-file=" + file, "--control-key=" + secret}, "", nil, "one of them"},
		{"key and insecure", []string{"--insecure-control"}, "FANOUTD_CONTROL_KEY=" + secret, nil, "only one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(tt.args, []string{tt.env})
			if tt.want == nil {
				if err == nil || !strings.Contains(err.Error(), tt.msg) || !strings.Contains(err.Error(), "control") {
					t.Fatalf("got %v", err)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("shows the key: %v", err)
				}
				return
			}
			if err != nil || !slices.Equal(c.controlKeys, tt.want) {
				t.Errorf("got %q, %v", c.controlKeys, err)
			}
		})
	}
}

func TestCommands(t *testing.T) {
	environ := []string{"FANOUTD_CONTROL_KEY=s3cr3t"}
	tests := []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"version"}, exitOK, "fanoutd dev (commit ", ""},
		{[]string{"help"}, exitOK, "--ping-interval", ""},
		{[]string{"--help"}, exitOK, "--control-listen", ""},
		{[]string{"serve", "-h"}, exitOK, "127.0.0.1:8081)", ""},
		{[]string{"sevre"}, exitSettings, "", `unknown command "sevre"`},
		{[]string{"serve", "--nothing"}, exitSettings, "", "--nothing"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), tt.args, environ, &stdout, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("got %q and %q", stdout.String(), stderr.String())
			}
			if strings.Contains(stdout.String()+stderr.String(), "s3cr3t") {
				t.Error("shows the key")
			}
		})
	}
}

// TestHelpNamesEverySetting keeps help, flags and variables one list.
func TestHelpNamesEverySetting(t *testing.T) {
	var help bytes.Buffer
	printHelp(&help)
	names := strings.Split("listen control-listen ops-listen namespaces origins ping-interval ping-timeout connect-timeout "+
		"upgrade-timeout max-payload max-queue serve-client log-level log-format demo config control-key control-key-file "+
		"insecure-control grace jwt-secret jwt-secret-file jwt-public-key-file jwks-url jwt-algorithms jwt-issuer jwt-audience "+
		"jwt-user-claim jwt-sources hook hook-tls hook-ca hook-timeout hook-concurrency hook-key hook-key-file", " ")
	s := newSettings(&config{})
	for _, x := range s.all {
		names = append(names, x.name)
	}
	for _, name := range names { // those that others rely on, and all there are
		if s.get(name) == nil || !strings.Contains(help.String(), "--"+name+" ") {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestNoConsumer(t *testing.T) {
	c, err := load([]string{"--namespaces", "/,/chat,/t-*", "--no-consumer", "drop,/chat=refuse,/t-*=buffer"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := c.consumers.absence
	want := byNamespace[dispatch.Policy]{dispatch.Drop, map[string]dispatch.Policy{"/chat": dispatch.Refuse, "/t-*": dispatch.Buffer}}
	if got.policy != want.policy || !maps.Equal(got.policies, want.policies) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"keep", "drop,buffer", "/a=drop,/a=drop", "a=drop", "/a=", "=drop", "/elsewhere=drop"} {
		if _, err := load([]string{"--no-consumer", bad}, nil); err == nil || !strings.Contains(err.Error(), "no-consumer") {
			t.Errorf("%s: %v, want a refusal that names the setting", bad, err)
		}
	}
}

// A token in the query is for the verifier alone; without one it is nobody's
// secret, and consumers may look at it.
func TestSecretQuery(t *testing.T) {
	jwt := []string{"--jwt-algorithms", "HS256", "--jwt-secret", strings.Repeat("k", 32), "--jwt-issuer", "i", "--jwt-audience", "a"}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, nil},
		{jwt, nil},
		{append(jwt, "--jwt-sources", "query,auth"), []string{"token"}},
	} {
		c, err := load(tt.args, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.auth.secretQuery(); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.args, got, tt.want)
		}
	}
}

func TestVolatilePolicies(t *testing.T) {
	c, err := load([]string{"--namespaces", "/,/map-*", "--volatile", "/map-*=drop-oldest"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.sockets.volatile; got.policy != sio.DropNewest || got.policies["/map-*"] != sio.DropOldest {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"keep", "drop-oldest,drop-newest", "/elsewhere=drop-oldest"} {
		if _, err := load([]string{"--volatile", bad}, nil); err == nil || !strings.Contains(err.Error(), "volatile") {
			t.Errorf("%s: %v, want a refusal that names the setting", bad, err)
		}
	}
}
