package main

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// Each setting that is said to be reloadable is reloaded by somebody, and none else is.
func TestReloadable(t *testing.T) {
	var reloaded []string
	for _, r := range (&daemon{}).reloaders() {
		reloaded = append(reloaded, r.settings...)
	}
	for i, name := range reloaded {
		if slices.Contains(reloaded[:i], name) {
			t.Errorf("%s has two reloaders", name)
		}
	}
	for _, x := range newSettings(&config{}).All() {
		if x.IsFile() && slices.Contains(followedFiles, x.Name) {
			reloaded = append(reloaded, x.Name)
		}
		if x.Reloadable != slices.Contains(reloaded, x.Name) {
			t.Errorf("%s: Reloadable is %v, and it has a reloader or follows its file: %v", x.Name, x.Reloadable, !x.Reloadable)
		}
	}
	for _, name := range append(reloaded, followedFiles...) {
		if x := newSettings(&config{}).Get(name); x == nil || !x.Reloadable {
			t.Errorf("%s is reloaded, and no reloadable setting", name)
		}
	}
}

// hangUp has the process read its settings again, and waits until it logged a line that
// has all of want.
func (p *process) hangUp(t *testing.T, want ...string) {
	t.Helper()
	before := len(p.logs.String())
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		for line := range strings.Lines(p.logs.String()[before:]) {
			if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(line, w) }) {
				return
			}
		}
		if time.Since(start) > patience {
			t.Fatalf("no line with all of %q:\n%s", want, p.logs)
		}
	}
}

// opens asks for a session as a page of origin does, and returns the status.
func (p *process) opens(t *testing.T, origin string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.at["browsers"]+"/socket.io/?EIO=4&transport=polling", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", origin)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// At SIGHUP what the file says now takes effect where it can, what cannot is named, and a
// file that is no good changes nothing.
func TestReload(t *testing.T) {
	const a, b = "https://a.example", "https://b.example"
	file := writeFile(t, "origins: "+a+"\n")
	p := startProcess(t, "--config="+file, "--max-pending=7")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, origin string, want int) {
		t.Helper()
		if got := p.opens(t, origin); got != want {
			t.Errorf("%s: a page of %s gets %d, want %d", what, origin, got, want)
		}
	}
	expect("at the start", a, 200)
	expect("at the start", b, 403)

	write("origins: [" + b + "]\nmax-sessions: 2\nlog-level: debug\nmax-pending: 9\nlisten: :1\nping-interval: 7s\n")
	p.hangUp(t, "the settings have been read again", `"changed":["log-level","origins","max-sessions"]`)
	expect("another origin", a, 403)
	expect("another origin", b, 200)
	expect("another limit", b, 503)
	p.hangUp(t, "take effect at a restart only", `"settings":["ping-interval"]`) // once more: it still does not hold

	write("origins: [" + a + "]\nmax-sessions: many\nloglevel: info\n")
	p.hangUp(t, `"level":"ERROR"`, "the settings stay as they are", "line 2", "many")
	p.hangUp(t, `"level":"ERROR"`, "the settings stay as they are", "line 3", "loglevel", "log-level")
	expect("a file that is no good", a, 403)

	write("origins: [" + b + "]\nmax-sessions: 100\n")
	p.hangUp(t, `"changed":["log-level","max-sessions"]`)
	expect("mended", b, 200)
	if text := p.logs.String(); !strings.Contains(text, `"level":"DEBUG"`) {
		t.Errorf("log-level: debug brought no such line:\n%s", text)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-p.done; err != nil {
		t.Errorf("%v:\n%s", err, p.logs)
	}
}

// SIGHUP does not end the process from the moment on when the settings are read, nor
// during a shutdown.
func TestHangUpsEndNothing(t *testing.T) {
	from := newSource(func([]byte) (*config, error) { return load(nil, nil) })
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case <-from.hangups:
	case <-time.After(patience):
		t.Error("SIGHUP goes unnoticed before the daemon is ready")
	}

	p := startProcess(t)
	stream, err := fanoutv1.NewEmitterServiceClient(dialControl(t, p.at["backends"])).EmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for range 20 { // as long as there is a process
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
	err = <-p.done
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("ended by a signal: %v", err)
	} else if err != nil {
		t.Errorf("%v:\n%s", err, p.logs)
	}
}
