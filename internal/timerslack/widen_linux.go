package timerslack

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	usual = 50 * time.Microsecond // Linux's own
	wide  = 500 * time.Microsecond

	// again is set for a process that has been started anew.
	again = "TIMERSLACK_STARTED_AGAIN"
)

// Widen starts this process anew, by the same command line and as the same process, with wide
// timers: the thread that matters is there before any of a program's own code, and others may not
// change its timers (proc_pid_timerslack_ns(5)), but all threads have those that the process was
// started with. Where that is not possible, or whoever started the process has chosen another timer
// slack, it does nothing.
//
// Call it before anything else: signals, files and goroutines of the process so far are gone.
func Widen() {
	if os.Getenv(again) != "" {
		os.Unsetenv(again)
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if own() != usual {
		return
	}
	path, err := os.Executable()
	if err != nil {
		return
	}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil || setOwn(wide) != nil {
		return
	}
	_ = syscall.Exec(path, os.Args, append(os.Environ(), again+"=1")) // if it returns, it was not possible
	_ = setOwn(usual)
	// The runtime raises the limit of open files as a process begins, and Exec takes that back.
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
}

// own is the timer slack of the calling thread, 0 if it has none.
func own() time.Duration {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0
	}
	return time.Duration(ns)
}

func setOwn(slack time.Duration) error {
	return unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0)
}
