package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// What of the server's messages is logged at their own levels: enough for a cluster of
// a hundred nodes that restarts.
const (
	logRate  = 2 // a second
	logBurst = 500
)

// serverLog writes what the embedded server says to a slog.Logger. What it notices is
// for people who run NATS, and debug to those who run fanoutd; but for routes that
// come and go. A peer that cannot be reached is an error to it, and a warning here.
// Whoever reaches the port for routes has it say something: beyond logRate that is debug.
type serverLog struct {
	log    *slog.Logger
	secret string // is left out
	limit  *rate.Limiter
	failed atomic.Pointer[string]
}

func newServerLog(log *slog.Logger, secret string) *serverLog {
	return &serverLog{log: log, secret: secret, limit: rate.NewLimiter(logRate, logBurst)}
}

// debugging reports whether debug messages are wanted: the server has many.
func (l *serverLog) debugging() bool {
	return l.log.Enabled(context.Background(), slog.LevelDebug)
}

// failure is why the server cannot start; nil: it has not said so.
func (l *serverLog) failure() error {
	if s := l.failed.Load(); s != nil {
		return errors.New(*s)
	}
	return nil
}

// said are messages that mean nothing here, by their beginnings.
var said = []string{
	"TLS certificate chain and hostname of solicited routes will not be verified", // RouteTLS verifies them
	"Plaintext passwords detected", // there is one token, made by this process
}

// aboutRoutes are the notices that operators want, by a part of each.
var aboutRoutes = []string{"Route connection created", "Router connection closed"}

func (l *serverLog) write(level slog.Level, format string, v []any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	text := fmt.Sprintf(format, v...)
	for _, s := range said {
		if strings.HasPrefix(text, s) {
			return
		}
	}
	if level > slog.LevelDebug && !l.limit.Allow() {
		level = slog.LevelDebug
	}
	if l.secret != "" {
		text = strings.ReplaceAll(text, l.secret, "[secret]")
	}
	l.log.Log(context.Background(), level, "NATS server: "+text)
}

// Noticef implements server.Logger.
func (l *serverLog) Noticef(format string, v ...any) {
	level := slog.LevelDebug
	for _, s := range aboutRoutes {
		if strings.Contains(format, s) {
			level = slog.LevelInfo
		}
	}
	if strings.HasPrefix(format, "Slow Consumer Detected") { // it may lose all that waits for it
		level = slog.LevelWarn
	}
	l.write(level, format, v)
}

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, v ...any) { l.write(slog.LevelWarn, format, v) }

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, v ...any) { l.write(slog.LevelWarn, format, v) }

// Fatalf implements server.Logger. The process goes on; see failure.
func (l *serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.failed.CompareAndSwap(nil, &text)
	l.write(slog.LevelDebug, format, v)
}

// Debugf implements server.Logger.
func (l *serverLog) Debugf(format string, v ...any) { l.write(slog.LevelDebug, format, v) }

// Tracef implements server.Logger: every message of every connection, which nobody wants.
func (l *serverLog) Tracef(string, ...any) {}
