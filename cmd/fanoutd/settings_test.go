package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
	if c.listeners.browsers.String() != ":8080" || c.listeners.control.String() != "127.0.0.1:8081" || c.listeners.operators.String() != "127.0.0.1:8082" {
		t.Errorf("listeners %s, %s, %s", c.listeners.browsers, c.listeners.control, c.listeners.operators)
	}
	if c.browsers.pingInterval != 25*time.Second || c.browsers.pingTimeout != 20*time.Second || c.limits.connectTimeout != 45*time.Second || c.limits.upgradeTimeout != 10*time.Second {
		t.Errorf("times %v, %v, %v, %v", c.browsers.pingInterval, c.browsers.pingTimeout, c.limits.connectTimeout, c.limits.upgradeTimeout)
	}
	if !slices.Equal(c.namespaces.names, []string{"/"}) || c.limits.payload != 1_000_000 || !c.browsers.serveClient || c.browsers.demo || c.listeners.insecureControl || c.listeners.controlKeys != nil {
		t.Errorf("%+v", c)
	}
}

// TestPrecedence: flags over variables over the file, over the defaults.
func TestPrecedence(t *testing.T) {
	file := writeFile(t, "ping-interval: 1s\nping_timeout: 1s\nconnect-timeout: 1s")
	c, err := load([]string{"--config", file, "--connect-timeout=3s"}, []string{"FANOUTD_PING_TIMEOUT=2s", "FANOUTD_CONNECT_TIMEOUT=2s"})
	if err != nil {
		t.Fatal(err)
	}
	if c.browsers.pingInterval != time.Second || c.browsers.pingTimeout != 2*time.Second || c.limits.connectTimeout != 3*time.Second {
		t.Errorf("got %v, %v, %v, want 1s of the file, 2s of the variable, 3s of the flag",
			c.browsers.pingInterval, c.browsers.pingTimeout, c.limits.connectTimeout)
	}
}

// TestRefusals checks that a mistake ends the start with one line, which names the
// setting, where it stands and what is allowed.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  string
		file string
		want []string // all in the error
	}{
		{"unknown flag", []string{"--orgins=1"}, "", "", []string{"--orgins", "the nearest is --origins"}},

		{"bad flag", []string{"--ping-interval=25"}, "", "", []string{"ping-interval", "flag --ping-interval", `"25"`, "300ms"}},
		{"bad variable", nil, "FANOUTD_PING_TIMEOUT=-1s", "", []string{"ping-timeout", "FANOUTD_PING_TIMEOUT", `"-1s"`, "1ms to 24h"}},
		{"bad key", nil, "", "connect_timeout: soon", []string{"connect-timeout", "line 1", `"soon"`, "allowed"}},
		{"port too high", []string{"--listen=:65536"}, "", "", []string{"listen", ":65536"}},
		{"payload too small", []string{"--max-payload=0"}, "", "", []string{"max-payload", "from 1024"}},
		{"queue too small", []string{"--max-queue=1"}, "", "", []string{"max-queue"}},

		{"origin without scheme", []string{"--origins=example.com"}, "", "", []string{"origins", `"example.com"`, "https://"}},
		{"no namespaces", []string{"--namespaces="}, "", "", []string{"namespaces", "no namespace"}},
		{"namespace with comma", nil, "", "namespaces: ['/a,b']", []string{"namespaces", "/a,b"}},
		{"namespace twice", []string{"--namespaces=/a,a"}, "", "", []string{"namespaces", "twice"}},

		{"collector without scheme", []string{"--otlp-endpoint=collector:4317"}, "", "", []string{"otlp-endpoint", `"collector:4317"`, "http://HOST:PORT"}},
		{"collector without port", []string{"--otlp-endpoint=https://collector"}, "", "", []string{"otlp-endpoint", "http://HOST:PORT"}},
		{"collector with a path", []string{"--otlp-endpoint=http://collector:4318/v1/traces"}, "", "", []string{"otlp-endpoint", "http://HOST:PORT"}},
		{"sample ratio too high", []string{"--otlp-sample-ratio=1.01"}, "", "", []string{"otlp-sample-ratio", `"1.01"`, "from 0 to 1"}},
		{"sample ratio no number", []string{"--otlp-sample-ratio=NaN"}, "", "", []string{"otlp-sample-ratio", "from 0 to 1"}},

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

// All problems are said at once, and nothing that follows only from one of them.
func TestEveryProblem(t *testing.T) {
	file := writeFile(t, "webtransport-listen: here\nwebtransport-cert-file: "+writeFile(t, "x")+"\nexpose-cookies: sid\nexpose-auth: pid\ncookie-secure: true\n")
	args := []string{"--config=" + file, "--cookie=a b", "--namespaces=", "--no-consumer=/chat=drop", "--hook-timeout=1s", "--cluster-name=x", "--jwt-public-key-file=/nonexistent"}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, nil, &stdout, &stderr); code != exitSettings || stdout.Len() > 0 {
		t.Errorf("exit code %d, %s", code, &stdout)
	}
	var got []string
	for line := range strings.Lines(stderr.String()) {
		name, _, _ := strings.Cut(line, " (")
		got = append(got, name)
	}
	want := []string{"fanoutd: webtransport-listen", "fanoutd: expose-auth", "fanoutd: cookie", "fanoutd: namespaces",
		"fanoutd: jwt-public-key-file", "fanoutd: hook-timeout", "fanoutd: cluster-name"}
	if !slices.Equal(got, want) {
		t.Errorf("problems of %q, want %q:\n%s", got, want, &stderr)
	}
}

// A variable that is no setting may belong to something else, so it does not keep
// the daemon from starting; it may be a mistake, so it is named, also beside an
// error that it may explain.
func TestUnknownVariables(t *testing.T) {
	c, err := load(nil, []string{"FANOUTD_GRASE=1s", "FANOUTD_CONTROL_PORT=tcp://10.0.0.7:8081"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.unknown) != 1 || c.unknown[0].Name != "FANOUTD_GRASE" {
		t.Errorf("unknown variables are %v, want FANOUTD_GRASE", c.unknown)
	}
	var stdout, stderr bytes.Buffer
	run(t.Context(), []string{"--grace=x"}, []string{"FANOUTD_GRASE=1s"}, &stdout, &stderr)
	if !strings.Contains(stderr.String(), "FANOUTD_GRASE is no setting and is ignored; the nearest is FANOUTD_GRACE\n") {
		t.Errorf("beside an error the variable goes unnamed: %s", &stderr)
	}
}

// TestWarnings: what is allowed and open to more people than one may think is said
// at the start.
func TestWarnings(t *testing.T) {
	const insecure, operators, hook = "insecure-control is set", "operators' listener", "plain text"
	for _, tt := range []struct {
		args []string
		want string // nothing: no warning
	}{
		{nil, ""},
		{[]string{"--insecure-control"}, insecure},
		{[]string{"--ops-listen=:8082"}, operators},
		{[]string{"--ops-listen=localhost:8082"}, ""},
		{[]string{"--hook=auth.invalid:9000"}, hook},
		{[]string{"--hook=auth.invalid:9000", "--hook-tls"}, ""},
		{[]string{"--hook=127.0.0.1:9"}, ""},
		{[]string{"--hook=unix:/run/hook.sock"}, ""},
	} {
		c, err := load(tt.args, nil)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		c.warn(slog.New(slog.NewTextHandler(&log, nil)))
		if got := log.String(); !strings.Contains(got, tt.want) || strings.Count(got, "\n") != min(1, len(tt.want)) {
			t.Errorf("%q: logged %q, want %q alone", tt.args, got, tt.want)
		}
	}
}

// TestHelpNamesEverySetting keeps help, flags and variables one list.
func TestHelpNamesEverySetting(t *testing.T) {
	var help bytes.Buffer
	printServeHelp(&help)
	names := strings.Split("listen control-listen ops-listen namespaces origins ping-interval ping-timeout connect-timeout "+
		"upgrade-timeout max-payload max-queue serve-client log-level log-format demo config control-key control-key-file "+
		"insecure-control grace jwt-secret jwt-secret-file jwt-public-key-file jwks-url jwt-algorithms jwt-issuer jwt-audience "+
		"jwt-user-claim jwt-sources hook hook-tls hook-ca hook-timeout hook-concurrency hook-key hook-key-file", " ")
	s := newSettings(&config{})
	for _, x := range s.All() {
		names = append(names, x.Name)
	}
	for _, name := range names { // those that others rely on, and all there are
		if s.Get(name) == nil || !strings.Contains(help.String(), "--"+name+" ") {
			t.Errorf("%s is missing", name)
		}
	}
}
