package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// What is in a file of a secret takes effect soon, and what is in the settings' file at
// SIGHUP alone; what is no good is logged once and leaves all as it is.
func TestFollow(t *testing.T) {
	const one, two, three = "one-one-one-one-one-one-one-one-one", "two-two-two-two-two-two-two-two-two", "three-three-three-three-three-three"
	secretFile, file := writeFile(t, one), writeFile(t, "log-level: info\njwt-issuer: me\n")
	args := []string{"--config=" + file, "--jwt-secret-file=" + secretFile, "--jwt-algorithms=HS256", "--jwt-audience=a"}
	synctest.Test(t, func(t *testing.T) {
		from := &source{
			hangups: make(chan os.Signal, 1),
			load:    func(text []byte) (*config, error) { return loadText(args, nil, text) },
		}
		c, err := from.load(nil)
		if err != nil {
			t.Fatal(err)
		}
		var logged strings.Builder
		var secret, level string
		var otherFailure error
		reloaders := []reloader{
			{[]string{"jwt-secret", "jwt-secret-file"}, func(next *config) error { secret = next.tokens.secret; return nil }},
			{[]string{"log-level"}, func(next *config) error { level = next.operations.logLevel.String(); return nil }},
			{[]string{"origins"}, func(*config) error { return otherFailure }},
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go newFollower(c, from, reloaders, slog.New(slog.NewTextHandler(&logged, nil))).run(ctx)

		step := func(what string, hangUp bool, wantSecret, wantLevel string, wantLines ...string) {
			t.Helper()
			if hangUp {
				from.hangups <- syscall.SIGHUP
			} else {
				time.Sleep(3 * lookInterval)
			}
			synctest.Wait()
			if secret != wantSecret || level != wantLevel {
				t.Errorf("%s: got %q and %s, want %q and %s", what, secret, level, wantSecret, wantLevel)
			}
			lines := slices.Collect(strings.Lines(logged.String()))
			if !slices.EqualFunc(lines, wantLines, strings.Contains) {
				t.Errorf("%s: logged %q, want lines with %q", what, lines, wantLines)
			}
			if strings.Contains(logged.String(), wantSecret) {
				t.Errorf("%s: the secret is logged", what)
			}
			logged.Reset()
		}
		write := func(path, text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		step("nothing", false, one, "INFO")
		write(secretFile, two)
		write(file, "log-level: debug\njwt-issuer: me\n")
		step("another secret", false, two, "INFO", "have been read again\" changed=[jwt-secret-file]")
		write(secretFile, "\n")
		step("no secret", false, two, "INFO", "all stays as it is\" error=\"jwt-secret-file (flag")
		step("still", false, two, "INFO")
		step("no secret, and asked", true, two, "INFO", "SIGHUP: the settings stay as they are\" error=\"jwt-secret-file (flag")
		write(secretFile, two)
		step("as before", false, two, "INFO", "have been read again\" changed=[]")
		write(secretFile, three)
		write(file, "log-level: debug\njwt-issuer: me\norigins: https://a.example\nlisten: :1\n")
		otherFailure = errors.New("a failure")
		step("asked", true, three, "DEBUG", "settings stay as they are\" settings=[origins] error=\"a failure\"",
			"read again\" changed=[log-level]", "at a restart only\" settings=\"[listen origins]\"")
		step("looked at after that", false, three, "DEBUG")
		otherFailure = nil
		step("asked again", true, three, "DEBUG", "read again\" changed=[origins]", "at a restart only\" settings=[listen]")
		write(file, "jwt-issuer: me\n")
		step("taken back", true, three, "INFO", "read again\" changed=\"[log-level origins]\"")
	})
}

// A secret of tokens and the hook's key are exchanged while browsers are connected.
func TestSecretsRotate(t *testing.T) {
	const second = "second-second-second-second-second"
	b := &backend{answer: allows(nil)}
	secretFile, keyFile := writeFile(t, jwtSecret), writeFile(t, "first-key")
	d := start(t, "--jwt-secret-file="+secretFile, "--jwt-algorithms=HS256", "--jwt-issuer=me", "--jwt-audience=fanoutd",
		"--hook="+serveHook(t, b), "--hook-key-file="+keyFile)
	old := `{"token":"` + mintToken(t, tokenArgs("--user=42")...) + `"}`
	next := `{"token":"` + mintToken(t, append(tokenArgs("--user=42"), "--jwt-secret="+second)...) + `"}`
	join(t, d.at["browsers"], old, `40{"sid":"`)
	join(t, d.at["browsers"], next, `44{"message":"token invalid"}`)
	if key := b.lastKey(); key != "Bearer first-key" {
		t.Errorf("the hook is asked with %q", key)
	}
	for path, text := range map[string]string{secretFile: second, keyFile: "second-key"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.logs.await(t, "SIGHUP: the settings have been read again")
	join(t, d.at["browsers"], old, `44{"message":"token invalid"}`)
	join(t, d.at["browsers"], next, `40{"sid":"`)
	if key := b.lastKey(); key != "Bearer second-key" {
		t.Errorf("the hook is asked with %q", key)
	}
	registry := fanoutv1.NewRegistryServiceClient(dialControl(t, d.at["backends"]))
	list, err := registry.ListConnections(t.Context(), &fanoutv1.ListConnectionsRequest{To: &fanoutv1.Target{Users: []string{"42"}}})
	if n := len(list.GetConnections()); err != nil || n != 2 {
		t.Errorf("%d connections, %v, want the one of before and the one of after", n, err)
	}
	for _, secret := range []string{jwtSecret, second, "first-key", "second-key"} {
		if strings.Contains(d.logs.String(), secret) {
			t.Errorf("the log shows %s", secret)
		}
	}
}
