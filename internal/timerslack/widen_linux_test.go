package timerslack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asProgram is the variable that makes the test's own binary a program that widens; removed, one whose
// file is gone by then.
const (
	asProgram = "TEST_AS_PROGRAM"
	removed   = "TEST_REMOVED"
)

// seen is what such a program finds.
type seen struct {
	PID     int
	Args    []string
	Environ []string
	Slack   map[string]string // by thread
	Hidden  bool              // those of other threads are not to be read

	FilesBefore, Files unix.Rlimit // how many may be open: before the last Widen, and after it
}

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(program())
	}
	os.Exit(m.Run())
}

// program widens and tells what it finds.
func program() int {
	s := seen{PID: os.Getpid(), Args: os.Args, Slack: map[string]string{}}
	if os.Getenv(removed) != "" {
		if path, err := os.Executable(); err != nil || os.Remove(path) != nil {
			return 1
		}
	}
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &s.FilesBefore)
	Widen()
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &s.Files)
	s.Environ = os.Environ()
	threads, err := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		var text []byte
		text, err = os.ReadFile(filepath.Join("/proc", thread.Name(), "timerslack_ns"))
		if errors.Is(err, fs.ErrPermission) {
			s.Hidden = true
			continue
		}
		s.Slack[thread.Name()] = strings.TrimSpace(string(text))
	}
	if err == nil || s.Hidden {
		err = json.NewEncoder(os.Stdout).Encode(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// output is what the program of cmd tells that is started on a thread with this timer slack.
func output(t *testing.T, slack time.Duration, cmd *exec.Cmd) (s seen) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := own()
	if err := setOwn(slack); err != nil {
		t.Skipf("no timer slack here: %v", err)
	}
	defer func() { _ = setOwn(before) }()
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the program on a thread with this timer slack.
func run(t *testing.T, slack time.Duration) seen {
	t.Helper()
	cmd := exec.Command(os.Args[0], "one", "two words", "")
	cmd.Env = []string{asProgram + "=1"}
	s := output(t, slack, cmd)
	if s.PID != cmd.Process.Pid {
		t.Errorf("it is process %d now, and was %d", s.PID, cmd.Process.Pid)
	}
	if !slices.Equal(s.Args, cmd.Args) {
		t.Errorf("its arguments are %q, and were %q", s.Args, cmd.Args)
	}
	if !slices.Equal(s.Environ, cmd.Env) {
		t.Errorf("its environment is %q, and was %q", s.Environ, cmd.Env)
	}
	if s.Hidden {
		t.Skip("the timer slack of other threads is not to be read: that needs CAP_SYS_NICE")
	}
	return s
}

// Every thread has wide timers, those of the runtime that were there first among them, and
// nothing else has changed.
func TestWiden(t *testing.T) {
	s := run(t, usual)
	for thread, slack := range s.Slack {
		if slack != fmt.Sprint(wide.Nanoseconds()) {
			t.Errorf("thread %s of %d: %s ns", thread, len(s.Slack), slack)
		}
	}
}

// What whoever started the process has chosen stays.
func TestChosenOtherwise(t *testing.T) {
	for _, chosen := range []time.Duration{time.Microsecond, time.Millisecond} {
		for thread, slack := range run(t, chosen).Slack {
			if slack != fmt.Sprint(chosen.Nanoseconds()) {
				t.Errorf("thread %s: %s ns, and %v was chosen", thread, slack, chosen)
			}
		}
	}
}

// A process that cannot be started anew keeps what it had: the limit of open files that the runtime
// raised as it began, and the usual timers.
func TestNotPossible(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, text, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `ulimit -Sn 64 && exec "$0"`, path)
	cmd.Env = []string{asProgram + "=1", removed + "=1"}
	s := output(t, usual, cmd)
	if s.Files != s.FilesBefore {
		t.Errorf("it may open %d files, and %d before", s.Files.Cur, s.FilesBefore.Cur)
	}
	for thread, slack := range s.Slack {
		if slack != fmt.Sprint(usual.Nanoseconds()) {
			t.Errorf("thread %s: %s ns", thread, slack)
		}
	}
}
