package test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	fanoutv1 "github.com/fanoutd/fanoutd/gen/fanout/v1"
)

// processorTime is what the daemon has used, in clock ticks: hundredths of a second.
func (s *siege) processorTime() (ticks int) {
	s.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		s.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything
	fields := strings.Fields(rest)
	for _, f := range fields[11:13] { // utime and stime, the third being the first here
		n, err := strconv.Atoi(f)
		if err != nil {
			s.Fatal(err)
		}
		ticks += n
	}
	return ticks
}

// TestFaultFiles: a daemon that may open no more files serves those who are there, says why
// nobody else comes in, once a second at most, and lets them in once there is room again.
func TestFaultFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a daemon; run without -short")
	}
	needLinux(t)
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		t.Skip("nothing sets the limit of a process here: ", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), siegePatience)
	defer cancel()
	s := &siege{T: t, ctx: ctx, daemon: runDaemon(ctx, t, binary(ctx, t))}
	w, id := s.member()
	emitter, _ := dialControl(t, s.control)
	emit := func() {
		t.Helper()
		if _, err := emitter.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{Ids: []string{id}}, Event: "e"}); err != nil {
			t.Fatal(err)
		}
		if text, err := w.hear(); text != `42["e"]` {
			t.Fatalf("heard %q, %v", text, err)
		}
	}
	emit()

	most := s.footprint().files + 10
	if out, err := exec.CommandContext(ctx, prlimit, "--pid="+strconv.Itoa(s.pid), fmt.Sprintf("--nofile=%d:", most)).CombinedOutput(); err != nil {
		t.Fatalf("prlimit: %v\n%s", err, out)
	}
	var idle []net.Conn
	for _, address := range []string{s.listen, s.control} {
		for range 30 {
			c, err := net.Dial("tcp", address) // into the kernel's queue, if the daemon takes it not
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			idle = append(idle, c)
		}
	}
	const why = "too many open files"
	eventually(ctx, t, "the log says why", func() bool { return strings.Contains(s.log.String(), why) })
	before := s.processorTime()
	const watched = 3 * time.Second
	time.Sleep(watched) // for a loop to show
	if ticks := s.processorTime() - before; ticks > 100 {
		t.Errorf("the daemon used %d hundredths of a second in %v", ticks, watched)
	}
	emit()
	// Pauses grow from 5 ms to a second, and start again after whoever was let in.
	if lines := strings.Count(s.log.String(), why); lines > 60 {
		t.Errorf("%d lines of the log say why", lines)
	}

	for _, c := range idle {
		_ = c.Close()
	}
	eventually(ctx, t, "somebody is let in again", func() bool {
		w, err := s.webSocket("")
		if err != nil {
			return false
		}
		defer w.Close()
		return w.join() == nil
	})
	again, _ := dialControl(t, s.control)
	if _, err := again.Emit(ctx, &fanoutv1.EmitRequest{To: &fanoutv1.Target{Ids: []string{id}}, Event: "e"}); err != nil {
		t.Errorf("a new backend: %v", err)
	}
	t.Logf("%d lines of the log say why", strings.Count(s.log.String(), why))
}
