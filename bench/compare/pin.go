package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// serverProcessors are those that servers and their applications may use, as a bitmap; 0: all.
// It is set once, before any is started.
var serverProcessors uint64

// allow lets a thread of this process, or all of a new one's, use these processors only.
func allow(thread int, processors uint64) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(thread), unsafe.Sizeof(processors), uintptr(unsafe.Pointer(&processors)))
	if errno != 0 {
		return fmt.Errorf("processors %b: %w", processors, errno)
	}
	return nil
}

// pinSelf has this process use these processors only: threads that there are, and so those that
// they start.
func pinSelf(processors uint64) error {
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return err
		}
		if err := allow(id, processors); err != nil {
			return err
		}
	}
	return nil
}

// pinned returns the command that runs another on the processors of servers, with settings of
// its environment before its name.
func pinned(name string, args []string, environment ...string) (string, []string, error) {
	if serverProcessors == 0 && len(environment) == 0 {
		return name, args, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	command := append([]string{"on", strconv.FormatUint(serverProcessors, 10)}, environment...)
	return self, append(append(command, name), args...), nil
}

// runOn is what the command of pinned does: PROCESSORS [NAME=VALUE ...] COMMAND ARGUMENT ....
func runOn(args []string) error {
	processors, err := strconv.ParseUint(args[0], 10, 64)
	if err != nil {
		return err
	}
	if processors > 0 {
		if err := pinSelf(processors); err != nil {
			return err
		}
	}
	environment := os.Environ()
	for args = args[1:]; len(args) > 0 && strings.Contains(args[0], "="); args = args[1:] {
		environment = append(environment, args[0])
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args, environment)
}
