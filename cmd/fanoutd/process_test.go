package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

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
}

// startProcess starts a daemon on ports of its own choice.
func startProcess(t *testing.T) *process {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--listen=127.0.0.1:0", "--control-listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0",
		"--log-format=json", "--grace=20s")
	cmd.Env = []string{asDaemon + "=1"} // and none of ours
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, logs: readLogs(stderr), done: make(chan error, 1)}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // an error says that it has ended
	p.at = p.logs.addresses(t)
	go func() {
		for range p.logs.lines { // Wait closes the pipe: first read it to the end
		}
		p.done <- cmd.Wait()
	}()
	return p
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
