package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// notifications is what a process tells its service manager, one line after the other.
type notifications struct {
	path string
	conn *net.UnixConn
	rest []string // of the latest datagram
}

func listenNotifications(t *testing.T) *notifications {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &notifications{path: path, conn: conn}
}

// await reads to the next line that starts with prefix and returns what follows in it.
// It fails at one that starts with any of never.
func (n *notifications) await(t *testing.T, prefix string, never ...string) string {
	t.Helper()
	if err := n.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		for len(n.rest) > 0 {
			line := n.rest[0]
			n.rest = n.rest[1:]
			if value, ok := strings.CutPrefix(line, prefix); ok {
				return value
			}
			if slices.ContainsFunc(never, func(p string) bool { return strings.HasPrefix(line, p) }) {
				t.Fatalf("%s came before %s", line, prefix)
			}
		}
		size, err := n.conn.Read(buf)
		if err != nil {
			t.Fatalf("no %s: %v", prefix, err)
		}
		n.rest = strings.Split(string(buf[:size]), "\n")
	}
}

// TestServiceManager: systemd is told when the daemon serves, lives and ends, in this order.
func TestServiceManager(t *testing.T) {
	n := listenNotifications(t)
	p := startProcessIn(t, []string{"NOTIFY_SOCKET=" + n.path, "WATCHDOG_USEC=400000"}, "--grace=7s")
	n.await(t, "READY=1", "WATCHDOG=1", "STOPPING=1")
	connect(t, p.at["browsers"])
	for n.await(t, "STATUS=", "STOPPING=1") != "serving, 1 connections" {
	}

	n.await(t, "WATCHDOG=1", "STOPPING=1")

	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n.await(t, "STOPPING=1", "READY=1")
	if usec, err := strconv.Atoi(n.await(t, "EXTEND_TIMEOUT_USEC=")); err != nil || usec <= 7_000_000 {
		t.Errorf("asks for %d us, %v: not more than grace", usec, err)
	}
	if err := <-p.done; err != nil {
		t.Errorf("%v:\n%s", err, p.logs)
	}
}

// TestServiceManagerOfAnother: a watchdog that is meant for another process, as for the
// parent of this one, is left to it.
func TestServiceManagerOfAnother(t *testing.T) {
	n := listenNotifications(t)
	p := startProcessIn(t, []string{"NOTIFY_SOCKET=" + n.path, "WATCHDOG_USEC=1000", "WATCHDOG_PID=" + strconv.Itoa(os.Getpid())})
	n.await(t, "READY=1")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n.await(t, "STOPPING=1", "WATCHDOG=1")
	if err := <-p.done; err != nil {
		t.Errorf("%v:\n%s", err, p.logs)
	}
}

// TestServiceManagerIsAway: a socket that nobody reads is logged and no more.
func TestServiceManagerIsAway(t *testing.T) {
	p := startProcessIn(t, []string{"NOTIFY_SOCKET=" + filepath.Join(t.TempDir(), "nobody")})
	if status, _ := get(t, p.at["operators"], "/readyz"); status != 200 {
		t.Errorf("/readyz: %d", status)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-p.done; err != nil {
		t.Errorf("%v:\n%s", err, p.logs)
	}
	if n := strings.Count(p.logs.String(), "the service manager cannot be told of states"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, p.logs)
	}
}
