package test

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
)

// besiegeLogging is besiege with a daemon that logs much, and to this file.
func besiegeLogging(t *testing.T, out *os.File, log *syncBuffer) *siege {
	t.Helper()
	needLinux(t)
	return besiegeStarted(t, func(ctx context.Context) daemon {
		flags := slices.Concat(besieged, []string{"--log-level=debug"})
		return launchDaemonLogging(ctx, t, out, log, binary(ctx, t), "/readyz", flags...)
	})
}

// logUntilLost has the daemon log until lines are lost.
func (s *siege) logUntilLost() {
	s.Helper()
	var lost atomic.Bool
	err := swarm(8, 8, func(worker int) error {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for i := 0; s.ctx.Err() == nil && !lost.Load(); i++ {
			res, err := client.Get("http://" + s.listen + "/socket.io/?transport=none") // refused, with a line
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if worker == 0 && i%100 == 0 && metric(s.T, s.daemon, "fanoutd_log_lines_lost_total") > 0 {
				lost.Store(true)
			}
		}
		return context.Cause(s.ctx)
	})
	if err != nil {
		s.Fatal(err)
	}
}

// end has the daemon end as it should.
func (s *siege) end() {
	s.Helper()
	if err := syscall.Kill(s.pid, syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
	if err := s.wait(s.ctx); err != nil {
		s.Errorf("the daemon ended with %v", err)
	}
}

var leftOut = regexp.MustCompile(`(?m)^time=.* msg="log lines were left out: .* lines=(\d+)$`)

// TestFaultLogStalls: a pipe that nobody reads any more holds up neither browsers nor
// backends. Once it is read again, the log says how many lines are missing.
func TestFaultLogStalls(t *testing.T) {
	if testing.Short() {
		t.Skip("logs megabytes; run without -short")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	log := &syncBuffer{}
	s := besiegeLogging(t, w, log)
	_ = w.Close() // it is the daemon's
	s.logUntilLost()

	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(log, r) // its end is that of the daemon
	}()
	eventually(s.ctx, t, "the log says how many lines are missing", func() bool {
		told := 0
		for _, m := range leftOut.FindAllStringSubmatch(log.String(), -1) {
			n, _ := strconv.Atoi(m[1])
			told += n
		}
		return told > 0 && told == int(metric(t, s.daemon, "fanoutd_log_lines_lost_total"))
	})
	s.lift(smallGrowth)
	s.end()
	<-read
}

// TestFaultLogStallsAtTheEnd: such a pipe does not hold up a shutdown either.
func TestFaultLogStallsAtTheEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("logs megabytes; run without -short")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := besiegeLogging(t, w, &syncBuffer{})
	_ = w.Close()
	s.logUntilLost()
	s.lift(smallGrowth)
	s.end()
}

// TestFaultLogFull: a log on a full disk costs lines, which are counted, and nothing else.
func TestFaultLogFull(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a daemon; run without -short")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no disk is full here: ", err)
	}
	s := besiegeLogging(t, full, &syncBuffer{})
	_ = full.Close()
	s.logUntilLost()
	s.lift(smallGrowth)
	s.end()
}
