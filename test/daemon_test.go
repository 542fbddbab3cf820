package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// daemon is a fanoutd process and where it listens.
type daemon struct {
	listen, control, ops string // host:port
	pid                  int
	log                  *syncBuffer
	ended                chan error // holds how the process has ended
}

// wait returns how the process has ended, once it has.
func (d daemon) wait(ctx context.Context) error {
	select {
	case err := <-d.ended:
		d.ended <- err
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// startDaemon runs the daemon on free ports until the test ends, and returns
// when it is ready. It is the binary $DAEMON, or one built for the purpose:
// without the race detector, which 5,000 clients would only slow down.
func startDaemon(ctx context.Context, t *testing.T, flags ...string) daemon {
	t.Helper()
	return runDaemon(ctx, t, binary(ctx, t), flags...)
}

// runDaemon is startDaemon for this binary.
func runDaemon(ctx context.Context, t *testing.T, path string, flags ...string) daemon {
	t.Helper()
	return launchDaemon(ctx, t, path, "/readyz", flags...)
}

// launchDaemon is runDaemon that returns once this page of the operators' listener
// says yes.
func launchDaemon(ctx context.Context, t *testing.T, path, page string, flags ...string) daemon {
	t.Helper()
	log := &syncBuffer{}
	return launchDaemonLogging(ctx, t, log, log, path, page, flags...)
}

// launchDaemonLogging is launchDaemon whose standard error, to which it logs, is out. log
// is what is shown of that if the test fails.
func launchDaemonLogging(ctx context.Context, t *testing.T, out io.Writer, log *syncBuffer, path, page string, flags ...string) daemon {
	t.Helper()
	ports := freeAddresses(t, 3)
	d := daemon{listen: ports[0], control: ports[1], ops: ports[2], log: log, ended: make(chan error, 1)}
	cmd := exec.Command(path, append([]string{"--listen=" + d.listen, "--control-listen=" + d.control, "--ops-listen=" + d.ops}, flags...)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = t.TempDir() // no settings file of anybody's lies there
	// Settings of whoever runs the tests must not leak in.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FANOUTD_") })
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting the daemon: %v", err)
	}
	d.pid = cmd.Process.Pid
	go func() { d.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
		select {
		case err := <-d.ended:
			if err != nil {
				t.Errorf("the daemon ended with %v after SIGTERM", err)
			}
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			t.Errorf("the daemon did not end within a minute of SIGTERM: %v", <-d.ended)
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", d.log.String())
		}
	})
	for {
		if res, err := http.Get("http://" + d.ops + page); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return d
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case err := <-d.ended:
			d.ended <- err
			t.Fatalf("the daemon ended before it was ready: %v\n%s", err, d.log.String())
		case <-ctx.Done():
			t.Fatalf("the daemon is not ready: %v", context.Cause(ctx))
		}
	}
}

func binary(ctx context.Context, t *testing.T) string {
	t.Helper()
	if path := os.Getenv("DAEMON"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "fanoutd")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "../cmd/fanoutd").CombinedOutput(); err != nil {
		t.Fatalf("building the daemon: %v\n%s", err, out)
	}
	return path
}

// Ports below those that systems hand out by themselves, to connections and to who
// listens at port 0, and above those of the tests in JavaScript, which run beside these: so
// nothing takes one between its choice and its use, or while its daemon restarts.
const (
	lowestPort = 26_000
	ports      = 6_000
)

// nextPort begins anywhere: other processes may choose ports likewise.
var nextPort = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(ports))
	return &n
}()

// freeAddresses are loopback addresses that were free a moment ago.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		for tries := 0; addresses[i] == ""; tries++ {
			l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", lowestPort+nextPort.Add(1)%ports))
			switch {
			case err == nil:
				defer l.Close()
				addresses[i] = l.Addr().String()
			case tries == 100:
				t.Fatal(err)
			}
		}
	}
	return addresses
}

// syncBuffer is a bytes.Buffer that a process may write while a test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
