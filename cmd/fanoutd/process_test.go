package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// asDaemon is the variable that makes the test's own binary the daemon, so that
// no other has to be built.
const asDaemon = "TEST_AS_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		main()
	}
	os.Exit(m.Run())
}

// process is a daemon in a process of its own.
type process struct {
	cmd  *exec.Cmd
	at   map[string]string
	logs *logs
	done chan error // one value: what Wait returned

	stderr io.Closer // of the reading end
}

// startProcess starts a daemon on ports of its own choice.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	return startProcessIn(t, nil, args...)
}

// startProcessIn is startProcess with these variables in the environment.
func startProcessIn(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{"--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0",
		"--log-format=json", "--grace=20s"}, args...)...)
	cmd.Env = append([]string{asDaemon + "=1"}, environ...) // and none of ours
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, logs: readLogs(stderr), done: make(chan error, 1), stderr: stderr}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // an error says that it has ended
	p.at = p.logs.addresses(t)
	go func() {
		for range p.logs.lines { // Wait closes the pipe: first read it to the end
		}
		p.done <- cmd.Wait()
	}()
	return p
}

// The daemon is still the process that was started, with wide timers: see package timerslack.
func TestTimerSlack(t *testing.T) {
	p := startProcess(t)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", p.cmd.Process.Pid))
	if err != nil {
		t.Skipf("the timer slack of a process is not to be read here: %v", err)
	}
	if got := strings.TrimSpace(string(text)); got != "500000" {
		t.Errorf("the daemon's timer slack is %s ns", got)
	}
}

func TestSIGTERM(t *testing.T) {
	p := startProcess(t)
	b := connect(t, p.at["browsers"])
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	b.end(t)
	select {
	case err := <-p.done:
		if err != nil {
			t.Errorf("%v:\n%s", err, p.logs)
		}
	case <-time.After(patience):
		t.Fatalf("does not end:\n%s", p.logs)
	}
}

// Who reads the log may go: that ends nothing.
func TestLogReaderGoes(t *testing.T) {
	p := startProcess(t)
	b := connect(t, p.at["browsers"])
	if err := p.stderr.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil { // which is logged
		t.Fatal(err)
	}
	b.end(t)
	select {
	case err := <-p.done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("does not end")
	}
}

// SIGHUP has files read again, and ends nothing, also where there is no file.
func TestSIGHUP(t *testing.T) {
	const first, second = "0123456789abcdef-first", "0123456789abcdef-second"
	for _, tt := range []struct {
		name string
		arg  string // before the file's name; empty: none
		logs string
		key  string // that is taken afterwards
	}{
		{"no file", "", "SIGHUP: the settings have been read again", ""},
		{"other keys in the file", "--control-key-file=", "the control keys have changed", second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := writeFile(t, first)
			var args []string
			if tt.arg != "" {
				args = append(args, tt.arg+file)
			}
			p := startProcess(t, args...)
			if err := os.WriteFile(file, []byte(second+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			for start := time.Now(); !strings.Contains(p.logs.String(), tt.logs); time.Sleep(10 * time.Millisecond) {
				if time.Since(start) > patience {
					t.Fatalf("no line with %q:\n%s", tt.logs, p.logs)
				}
			}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+tt.key)
			if _, err := fanoutv1.NewAdminServiceClient(dialControl(t, p.at["backends"])).GetServerInfo(ctx, &fanoutv1.GetServerInfoRequest{}); err != nil {
				t.Errorf("a call with %q: %v", tt.key, err)
			}
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-p.done; err != nil {
				t.Errorf("%v:\n%s", err, p.logs)
			}
		})
	}
}

// TestSecondSignal: a shutdown that waits for a backend to end its stream is
// itself ended at once by another signal.
func TestSecondSignal(t *testing.T) {
	p := startProcess(t)
	stream, err := fanoutv1.NewEmitterServiceClient(dialControl(t, p.at["backends"])).EmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	item := &fanoutv1.EmitStreamRequest{Sequence: 1, Emit: &fanoutv1.EmitRequest{To: &fanoutv1.Target{All: true}, Event: "x"}}
	if err := stream.Send(item); err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetAckedThrough() != 1 {
		t.Fatalf("got %v, %v", m, err)
	}
	timeout := time.After(patience)
	again := time.NewTicker(20 * time.Millisecond) // signals may merge; the first of several counts as one
	defer again.Stop()
	for {
		select {
		case err := <-p.done:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
				t.Errorf("ended with %v, not by the signal:\n%s", err, p.logs)
			}
			return
		case <-again.C:
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				continue // it has ended: done comes next
			}
		case <-timeout:
			t.Fatalf("does not end:\n%s", p.logs)
		}
	}
}
