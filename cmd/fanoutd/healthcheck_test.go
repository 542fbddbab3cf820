package main

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/ops"
	"github.com/fanoutd/fanoutd/internal/settings"
)

// health runs fanoutd healthcheck.
func health(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), append([]string{"healthcheck"}, args...), environ, &out, &errs)
	return code, out.String(), errs.String()
}

func TestHealthcheck(t *testing.T) {
	d := start(t)
	at := "--ops-listen=" + d.at["operators"]
	if code, out, errs := health(t, nil, at); code != exitOK || out != "ok\n" || errs != "" {
		t.Errorf("of a daemon that is ready: exit code %d, %q, %q", code, out, errs)
	}
	if code, _, errs := health(t, []string{"FANOUTD_OPS_LISTEN=" + d.at["operators"]}); code != exitOK {
		t.Errorf("by a variable: exit code %d, %s", code, errs)
	}
	_, port, _ := net.SplitHostPort(d.at["operators"])
	if code, _, errs := health(t, nil, "--ops-listen=:"+port); code != exitOK {
		t.Errorf("at every interface: exit code %d, %s", code, errs)
	}
	d.stop()
	d.wait(t)
	code, out, errs := health(t, nil, at)
	if code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "ops-listen (flag") || !strings.Contains(errs, "refused") {
		t.Errorf("of a daemon that is gone: exit code %d, %q, %q", code, out, errs)
	}
}

func TestHealthcheckNotReady(t *testing.T) {
	d := start(t, "--jwks-url=http://127.0.0.1:1/keys", "--jwt-algorithms=ES256", "--jwt-issuer=me", "--jwt-audience=us")
	at := "--ops-listen=" + d.at["operators"]
	if code, _, errs := health(t, nil, at); code != exitFailed || !strings.Contains(errs, "503") || !strings.Contains(errs, "jwks-url") {
		t.Errorf("exit code %d, %s", code, errs)
	}
	if code, _, errs := health(t, nil, at, "--live"); code != exitOK {
		t.Errorf("--live: exit code %d, %s", code, errs)
	}
}

func TestHealthcheckSettings(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"a port that the daemon chose", []string{"--ops-listen=127.0.0.1:0"}, "name one"},
		{"no address", []string{"--ops-listen=x"}, `"x" is not allowed`},
		{"no time", []string{"--timeout=0s"}, "deadline exceeded"},
		{"an unknown flag", []string{"--name=x"}, "--name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if code, out, errs := health(t, nil, tt.args...); code != exitFailed || out != "" || !strings.Contains(errs, tt.want) {
				t.Errorf("exit code %d, %q, %q, want %q", code, out, errs, tt.want)
			}
		})
	}
}

// TestHealthcheckAddresses asks at addresses of every kind.
func TestHealthcheckAddresses(t *testing.T) {
	for _, at := range []settings.Address{
		{Network: "tcp", Name: "127.0.0.1:0"},
		{Network: "unix", Name: filepath.Join(t.TempDir(), "ops.sock")},
	} {
		t.Run(at.Network, func(t *testing.T) {
			l, err := net.Listen(at.Network, at.Name)
			if err != nil {
				t.Fatal(err)
			}
			at.Name = l.Addr().String()
			ready := &ops.Readiness{}
			s := &http.Server{Handler: ready}
			go s.Serve(l)
			t.Cleanup(func() { s.Close() })
			if answer, err := new(healthFlags).ask(t.Context(), at); err == nil || !strings.Contains(err.Error(), "starting") {
				t.Errorf("got %q, %v before it is ready", answer, err)
			}
			ready.Ready()
			if answer, err := new(healthFlags).ask(t.Context(), at); err != nil || answer != "ok" {
				t.Errorf("got %q, %v", answer, err)
			}
		})
	}
}
