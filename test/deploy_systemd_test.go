package test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const unitFile = "../deploy/systemd/fanoutd.service"

// needProgram skips the test where a program is not installed, and returns its path.
func needProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed here", name)
	}
	return path
}

// A unit that systemd reads without a warning, and that gives the daemon little: 1.3 of
// 10 where this was written, and a typical service has 9.
func TestSystemdUnit(t *testing.T) {
	analyze := needProgram(t, "systemd-analyze")
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("verify", func(t *testing.T) {
		// It looks for the program.
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		unit := filepath.Join(t.TempDir(), "fanoutd.service")
		if err := os.WriteFile(unit, bytes.ReplaceAll(text, []byte("/usr/bin/fanoutd"), []byte(program)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("security", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=yes", "--threshold=15", unitFile).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("sysusers", func(t *testing.T) {
		path, err := filepath.Abs("../deploy/systemd/sysusers.conf")
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), needProgram(t, "systemd-sysusers"), "--dry-run", path).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("stop timeout", func(t *testing.T) {
		m := regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindSubmatch(text)
		if m == nil {
			t.Fatal("none")
		}
		limit, err := time.ParseDuration(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		help, err := exec.CommandContext(t.Context(), binary(t.Context(), t), "help", "serve").Output()
		if err != nil {
			t.Fatal(err)
		}
		var sum time.Duration
		for _, m := range regexp.MustCompile(`(?ms)^  --(?:grace|drain-delay|drain-time)\b.*?default:? ([0-9]\w*)`).FindAllSubmatch(help, -1) {
			d, err := time.ParseDuration(string(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			sum += d
		}
		if sum == 0 || limit < sum+5*time.Second {
			t.Errorf("TimeoutStopSec=%s, and a shutdown may take %s", limit, sum)
		}
	})
}

// What the daemon asks of the kernel, at work with browsers and at its end, is what
// SystemCallFilter= lets through.
func TestSystemdSystemCalls(t *testing.T) {
	analyze, strace := needProgram(t, "systemd-analyze"), needProgram(t, "strace")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	allowed := unitSystemCalls(t, analyze)

	dir := t.TempDir()
	trace, socket := filepath.Join(dir, "trace"), filepath.Join(dir, "control.sock")
	at := freeAddresses(t, 3)
	cmd := exec.CommandContext(ctx, strace, "--follow-forks", "--quiet=all", "--output="+trace, binary(ctx, t),
		"--listen="+at[0], "--control-listen=unix:"+socket, "--ops-listen="+at[1],
		"--cluster-listen="+at[2], "--node-name=a")
	log := &syncBuffer{}
	cmd.Stdout, cmd.Stderr = log, log
	// Strace passes no signal on: the daemon is its child in the group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ok := func() bool {
		res, err := http.Get("http://" + at[1] + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}
	for !ok() {
		select {
		case <-time.After(20 * time.Millisecond):
		case err := <-ended:
			t.Fatalf("ended: %v\n%s", err, log)
		}
	}
	conn, res, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+at[0]+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	defer conn.Close()
	for _, path := range []string{at[0] + "/socket.io/?EIO=4&transport=polling", at[1] + "/metrics"} {
		res, err := http.Get("http://" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
		if err := syscall.Kill(-cmd.Process.Pid, s); err != nil {
			t.Fatal(err)
		}
	}
	<-ended // how is not ours: strace may end by the signal first
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\d+ +(\w+)\(`).FindAllSubmatch(text, -1) {
		used[string(m[1])] = true
	}
	if len(used) < 20 || !used["epoll_pwait"] || !used["accept4"] {
		t.Fatalf("traced only %v\n%s", used, log)
	}
	for name := range used {
		if !allowed[name] {
			t.Errorf("the daemon calls %s, which the unit does not allow", name)
		}
	}
}

// unitSystemCalls are the system calls that the unit lets through.
func unitSystemCalls(t *testing.T, analyze string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{"execve": true} // how the daemon is started, which systemd exempts
	var add func(name string, allow bool)
	add = func(name string, allow bool) {
		if !strings.HasPrefix(name, "@") {
			allowed[name] = allow
			return
		}
		out, err := exec.CommandContext(t.Context(), analyze, "syscall-filter", name).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, line := range strings.Split(string(out), "\n")[1:] {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				add(line, allow)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllSubmatch(text, -1) {
		for _, name := range strings.Fields(string(m[2])) {
			add(name, len(m[1]) == 0)
		}
	}
	return allowed
}
