package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/settings"
)

// configCommand runs fanoutd config.
func configCommand(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"config"}, args...), environ, &out, &errs)
	return code, out.String(), errs.String()
}

func TestConfigCheck(t *testing.T) {
	for _, tt := range []struct {
		name    string
		file    string
		args    []string
		environ []string
		want    []string // what each line has; none: valid
	}{
		{"nothing", "", nil, nil, nil},
		{"all sources", "demo: true", []string{"--grace=1s"}, []string{"FANOUTD_LOG_LEVEL=debug", "HOME=/", "FANOUTD_SERVICE_HOST=10.0.0.1"}, nil},
		{"unknown everywhere", "graze: 1s", []string{"--grase=1s"}, []string{"FANOUTD_GRAVE=1s"}, []string{
			"unknown flag --grase: no setting has this name; the nearest is --grace",
			`unknown setting "graze" (file FILE, line 1): no setting has this name; the nearest is grace`,
			"environment variable FANOUTD_GRAVE: no setting has this name; the nearest is FANOUTD_GRACE",
		}},
		{"files that are not there", "", []string{"--control-key-file=/nonexistent/a", "--hook-ca=/nonexistent/b"}, []string{"FANOUTD_CLUSTER_SECRET_FILE=/nonexistent/c"}, []string{
			"control-key-file (flag --control-key-file): stat /nonexistent/a: no such file or directory: name a file",
			"hook-ca (flag --hook-ca): stat /nonexistent/b:",
			"cluster-secret-file (environment variable FANOUTD_CLUSTER_SECRET_FILE): stat /nonexistent/c:",
		}},
		{"what makes no sense together", "", []string{"--control-listen=:1", "--cookie-secure", "--hook-tls"}, nil, []string{
			"control-listen (flag --control-listen): others can reach :1: set control-key",
			"cookie-secure (flag --cookie-secure): cookie is not set",
			"hook-tls (flag --hook-tls): no hook is set",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := writeFile(t, tt.file)
			code, stdout, stderr := configCommand(t, tt.environ, append([]string{"check", "--config=" + file}, tt.args...)...)
			if len(tt.want) == 0 {
				if code != exitOK || stdout != "the settings are valid\n" || stderr != "" {
					t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
				}
				return
			}
			lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(stderr, file, "FILE"), "\n"), "\n")
			fits := slices.EqualFunc(lines, tt.want, func(line, want string) bool { return strings.HasPrefix(line, "fanoutd: "+want) })
			if code != exitSettings || stdout != "" || !fits {
				t.Errorf("exit code %d, %q, got:\n%s\nwant:\n%s", code, stdout, strings.Join(lines, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// What config default prints can be loaded, and changes nothing.
func TestConfigDefault(t *testing.T) {
	code, text, stderr := configCommand(t, nil, "default")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	file := writeFile(t, text)
	c, err := load([]string{"--config=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	initial, err := load([]string{"--config=" + writeFile(t, "")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, want := c.set.Texts(), initial.set.Texts()
	delete(got, settings.ConfigFile)
	delete(want, settings.ConfigFile)
	if !maps.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
	for name := range want {
		if strings.Count(text, "\n#"+name+":") != 1 {
			t.Errorf("%s is not there once", name)
		}
	}
}

// Each secret is hidden wherever it was set, and whatever is wrong with the others.
func TestConfigHidesSecrets(t *testing.T) {
	const secret = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t"
	values := map[string]string{ // of those that do not take any text
		"cluster-nats": "nats://user:" + secret + "@127.0.0.1:4222",
	}
	for _, x := range newSettings(&config{}).All() {
		if !x.Secret {
			continue
		}
		value := values[x.Name]
		if value == "" {
			value = secret
		}
		variable := "FANOUTD_" + strings.ToUpper(strings.ReplaceAll(x.Name, "-", "_")) + "=" + value
		others := []string{"--jwt-algorithms=HS256", "--jwt-issuer=i", "--jwt-audience=a", "--hook=127.0.0.1:1"}
		if x.Name != "jwt-secret" {
			others = others[3:]
		}
		for how, run := range map[string]struct{ args, environ []string }{
			"flag":     {args: []string{"--" + x.Name + "=" + value}},
			"variable": {environ: []string{variable}},
			"file":     {args: []string{"--config=" + writeFile(t, x.Name+": '"+value+"'\n")}},
		} {
			code, stdout, stderr := configCommand(t, run.environ, slices.Concat([]string{"print"}, others, run.args)...)
			if code != exitOK || !strings.Contains(stdout, "\n"+x.Name+": '***' # ") {
				t.Errorf("%s by %s: exit code %d, %s%s", x.Name, how, code, stdout, stderr)
			}
			code, problems, stderr := configCommand(t, run.environ, slices.Concat([]string{"check", "--grace=x", "--demo=maybe"}, run.args)...)
			if code != exitSettings {
				t.Errorf("%s by %s: exit code %d beside wrong settings", x.Name, how, code)
			}
			if strings.Contains(stdout+problems+stderr, secret) {
				t.Errorf("%s by %s is shown: %s%s", x.Name, how, stdout, stderr)
			}
		}
	}
}

// Whatever takes not just any text says, wherever a wrong value stands, its name, the
// source, the value and what is allowed.
func TestBadValues(t *testing.T) {
	const bad = ",?: , =*"
	anyText := []string{"jwt-secret", "jwks-url", "jwt-issuer", "jwt-user-claim", "hook-key", "webhook-url", "webhook-group", "data-dir"}
	for _, x := range newSettings(&config{}).All() {
		if x.Name == settings.ConfigFile || slices.Contains(anyText, x.Name) {
			continue
		}
		variable := "FANOUTD_" + strings.ToUpper(strings.ReplaceAll(x.Name, "-", "_"))
		file := writeFile(t, "# a comment\n"+x.Name+": '"+bad+"'\n")
		for source, run := range map[string]struct{ args, environ []string }{
			"flag --" + x.Name:                 {args: []string{"--" + x.Name + "=" + bad}},
			"environment variable " + variable: {environ: []string{variable + "=" + bad}},
			"file " + file + ", line 2":        {args: []string{"--config=" + file}},
		} {
			_, err := load(run.args, run.environ)
			begin := x.Name + " (" + source + "): "
			if len(settings.Each(err)) != 1 || !strings.HasPrefix(err.Error(), begin) {
				t.Errorf("%s: got %v, want one problem that begins with %q", x.Name, err, begin)
				continue
			}
			if x.Secret == strings.Contains(err.Error(), bad) {
				t.Errorf("%s: the value is shown, or is not, against its secrecy: %v", x.Name, err)
			}
			if !strings.Contains(err.Error(), "; allowed: ") && !x.IsFile() {
				t.Errorf("%s: what is allowed is not said: %v", x.Name, err)
			}
		}
	}
}
