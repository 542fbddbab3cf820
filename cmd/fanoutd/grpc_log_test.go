package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/grpclog"
)

// What gRPC has to say is in the daemon's log, in its format.
func TestGRPCLog(t *testing.T) {
	d := start(t, "--log-level=debug")
	grpclog.Errorf("a %s", "mistake")
	grpclog.Component("transport").Warningf("a peer's %s", "mistake")
	grpclog.Infoln("nothing of interest")
	d.logs.await(t, `"level":"ERROR","msg":"gRPC says","errors":1,"error":"a mistake"`)
	d.logs.await(t, `"level":"DEBUG","msg":"gRPC says","error":"[transport] a peer's mistake"`)
	if log := d.logs.String(); strings.Contains(log, "of interest") {
		t.Errorf("the log has gRPC's chatter:\n%s", log)
	}
}

func TestGRPCLogger(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	var l grpcLogger
	l.Error("nobody is there yet")
	l.use(newLogger(&out, logText, &level))
	l.Warningln("not at this level")
	for range 3 {
		l.Errorln("an", "error") // the same thing is told once in a while
	}
	level.Set(slog.LevelDebug)
	l.Warning(strings.Repeat("x", 10_000))
	l.Warningf("%d", 1)
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{
		`level=ERROR msg="gRPC says" errors=1 error="an error"`,
		`level=DEBUG msg="gRPC says" error=` + strings.Repeat("x", maxGRPCText),
		`level=DEBUG msg="gRPC says" error=1`,
	} {
		if i >= len(got) || !strings.HasSuffix(got[i], " "+want) {
			t.Fatalf("line %d of %.3000q, want %.100q", i, got, want)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d lines: %.3000q", len(got), got)
	}
}
