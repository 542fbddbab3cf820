package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// terminal is a terminal with a command of this program in it.
type terminal struct {
	*testing.T
	cmd    *exec.Cmd
	keys   *os.File    // the side of who sits before it
	tty    *os.File    // the command's side
	before *term.State // of tty, before the command
	ended  chan error  // one value: what Wait returned

	mu    sync.Mutex
	wrote bytes.Buffer // by the command
	more  chan struct{}
}

// inTerminal starts a command in a terminal of this size.
func inTerminal(t *testing.T, rows, columns uint16, args ...string) *terminal {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	keys, tty, err := pty.Open()
	if err != nil {
		t.Skipf("there are no terminals: %v", err)
	}
	x := &terminal{T: t, cmd: exec.Command(binary, args...), keys: keys, tty: tty, ended: make(chan error, 1), more: make(chan struct{}, 1)}
	if x.before, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	x.resize(rows, columns)
	x.cmd.Env = []string{asDaemon + "=1", "TERM=xterm"}
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = tty, tty, tty
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(x.read)
	go func() { x.ended <- x.cmd.Wait() }()
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill() // an error says that it has ended
		tty.Close()
		keys.Close()
		reading.Wait()
	})
	return x
}

// read keeps what the command writes.
func (x *terminal) read() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := x.keys.Read(buffer)
		x.mu.Lock()
		x.wrote.Write(buffer[:n])
		x.mu.Unlock()
		select {
		case x.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// all is what the command has written so far.
func (x *terminal) all() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.wrote.String()
}

var sequences = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// lines are those of the last page that is known to be complete, since another has begun.
func (x *terminal) lines() []string {
	pages := strings.Split(x.all(), "\x1b[H")
	if len(pages) < 3 {
		return nil
	}
	return strings.Split(sequences.ReplaceAllString(pages[len(pages)-2], ""), "\r\n")
}

// await waits until ok says yes of the lines of the page.
func (x *terminal) await(what string, ok func(lines []string) bool) {
	x.Helper()
	timeout := time.After(patience)
	for !ok(x.lines()) {
		select {
		case <-x.more:
		case <-timeout:
			x.Fatalf("%s: not so far, but\n%s", what, strings.Join(x.lines(), "\n"))
		}
	}
}

// shows waits until the page has a line that matches.
func (x *terminal) shows(pattern string) {
	x.Helper()
	line := regexp.MustCompile(pattern)
	x.await("a line with "+pattern, func(lines []string) bool {
		for _, l := range lines {
			if line.MatchString(l) {
				return true
			}
		}
		return false
	})
}

// lacks waits until the page has lines, and none that matches.
func (x *terminal) lacks(pattern string) {
	x.Helper()
	line := regexp.MustCompile(pattern)
	x.await("no line with "+pattern, func(lines []string) bool {
		return len(lines) > 0 && !line.MatchString(strings.Join(lines, "\n"))
	})
}

// press presses keys.
func (x *terminal) press(keys string) {
	x.Helper()
	if _, err := x.keys.WriteString(keys); err != nil {
		x.Fatal(err)
	}
}

// kill sends the command a signal.
func (x *terminal) kill(s syscall.Signal) {
	x.Helper()
	if err := x.cmd.Process.Signal(s); err != nil {
		x.Fatal(err)
	}
}

// resize gives the terminal another size.
func (x *terminal) resize(rows, columns uint16) {
	x.Helper()
	if err := pty.Setsize(x.keys, &pty.Winsize{Rows: rows, Cols: columns}); err != nil {
		x.Fatal(err)
	}
}

// left waits until the command has ended, and checks that it has put the terminal back.
func (x *terminal) left(code int) {
	x.Helper()
	select {
	case err := <-x.ended:
		x.ended <- err
	case <-time.After(patience):
		x.Fatalf("it does not end:\n%q", x.all())
	}
	if got := x.cmd.ProcessState.ExitCode(); got != code {
		x.Errorf("exit code %d, want %d", got, code)
	}
	const end = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	x.await("what ends the page", func([]string) bool { return strings.Contains(x.all(), end) })
	if _, behind, _ := strings.Cut(x.all(), end); behind != "" {
		x.Errorf("behind the page it wrote %q", behind)
	}
	after, err := term.GetState(int(x.tty.Fd()))
	if err != nil {
		x.Fatal(err)
	}
	if !reflect.DeepEqual(after, x.before) {
		x.Errorf("the terminal is in another mode: %+v, before %+v", after, x.before)
	}
}

// listenSilently returns an address at which connections are taken, and nothing is said.
func listenSilently(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
