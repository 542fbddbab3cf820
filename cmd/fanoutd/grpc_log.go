package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/grpclog"

	"github.com/fanoutd/fanoutd/internal/warning"
)

// maxGRPCText bounds a line of gRPC's, which may repeat what a peer sent, in bytes.
const maxGRPCText = 1024

// grpcLog is where gRPC's own log goes, which would write to standard error past the
// daemon's log.
var grpcLog grpcLogger

// It can only be set before gRPC is used.
func init() { grpclog.SetLoggerV2(&grpcLog) }

// grpcLogger logs gRPC's errors as errors, one in a while with their number, and its warnings,
// which are about peers and their connections, at debug level. It is safe for concurrent use.
type grpcLogger struct {
	to atomic.Pointer[grpcLogTarget] // nil: nowhere
}

type grpcLogTarget struct {
	*slog.Logger
	errors warning.Throttle
}

var _ grpclog.LoggerV2 = (*grpcLogger)(nil)

// use has it log to log from now on.
func (l *grpcLogger) use(log *slog.Logger) { l.to.Store(&grpcLogTarget{Logger: log}) }

func (l *grpcLogger) log(level slog.Level, text func() string) {
	to := l.to.Load()
	if to == nil || !to.Enabled(context.Background(), level) {
		return
	}
	var args []any
	if level == slog.LevelError {
		n, ok := to.errors.Event()
		if !ok {
			return
		}
		args = append(args, "errors", n)
	}
	said := strings.TrimSpace(text())
	to.Log(context.Background(), level, "gRPC says", append(args, "error", said[:min(len(said), maxGRPCText)])...)
}

// Info logs nothing.
func (l *grpcLogger) Info(...any) {}

// Infoln logs nothing.
func (l *grpcLogger) Infoln(...any) {}

// Infof logs nothing.
func (l *grpcLogger) Infof(string, ...any) {}

// Warning logs at debug level.
func (l *grpcLogger) Warning(args ...any) {
	l.log(slog.LevelDebug, func() string { return fmt.Sprint(args...) })
}

// Warningln logs at debug level.
func (l *grpcLogger) Warningln(args ...any) {
	l.log(slog.LevelDebug, func() string { return fmt.Sprintln(args...) })
}

// Warningf logs at debug level.
func (l *grpcLogger) Warningf(format string, args ...any) {
	l.log(slog.LevelDebug, func() string { return fmt.Sprintf(format, args...) })
}

// Error logs at error level.
func (l *grpcLogger) Error(args ...any) {
	l.log(slog.LevelError, func() string { return fmt.Sprint(args...) })
}

// Errorln logs at error level.
func (l *grpcLogger) Errorln(args ...any) {
	l.log(slog.LevelError, func() string { return fmt.Sprintln(args...) })
}

// Errorf logs at error level.
func (l *grpcLogger) Errorf(format string, args ...any) {
	l.log(slog.LevelError, func() string { return fmt.Sprintf(format, args...) })
}

// Fatal logs at error level; gRPC ends the process.
func (l *grpcLogger) Fatal(args ...any) { l.Error(args...) }

// Fatalln logs at error level; gRPC ends the process.
func (l *grpcLogger) Fatalln(args ...any) { l.Errorln(args...) }

// Fatalf logs at error level; gRPC ends the process.
func (l *grpcLogger) Fatalf(format string, args ...any) { l.Errorf(format, args...) }

// V reports that nothing verbose is wanted.
func (l *grpcLogger) V(int) bool { return false }
