package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

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
	hints  []*hint
	failed atomic.Pointer[string]
}

// hint is what the settings have to do with messages of a kind. Nodes try again many times
// a second, so few of them are logged.
type hint struct {
	parts     []string // one of which such a message contains
	text      string
	sometimes rate.Sometimes
}

// hintEvery is how often messages of one kind are logged, after the first three.
const hintEvery = 10 * time.Second

func newHints() []*hint {
	hints := []*hint{
		{parts: []string{"Authorization Violation", "authentication error"}, text: "the node there has another secret, or one of the two has none: cluster-secret-file has to say the same at all nodes"},
		{parts: []string{"first record does not look like a TLS handshake", "Unknown Protocol Operation"}, text: "one of the two nodes uses TLS and the other does not: set cluster-tls-cert-file, cluster-tls-key-file and cluster-tls-ca-file at all nodes or at none"},
		{parts: []string{"certificate signed by unknown authority", "bad certificate", "unknown certificate authority", "certificate is valid for"}, text: "the certificate of one of the two nodes is not what the other asks for: see cluster-tls-cert-file and cluster-tls-ca-file"},
		{parts: []string{"cluster name"}, text: "the node there is of another cluster: cluster-name has to be the same at all nodes"},
	}
	for _, h := range hints {
		h.sometimes.First, h.sometimes.Interval = 3, hintEvery
	}
	return hints
}

func newServerLog(log *slog.Logger, secret string) *serverLog {
	return &serverLog{log: log, secret: secret, limit: rate.NewLimiter(logRate, logBurst), hints: newHints()}
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
	var more []any
	if h := l.hintFor(text); h != nil && level > slog.LevelDebug {
		level = slog.LevelDebug
		h.sometimes.Do(func() { level = slog.LevelWarn })
		more = append(more, "hint", h.text)
	} else if level > slog.LevelDebug && !l.limit.Allow() {
		level = slog.LevelDebug
	}
	if l.secret != "" {
		text = strings.ReplaceAll(text, l.secret, "[secret]")
	}
	l.log.Log(context.Background(), level, "NATS server: "+text, more...)
}

func (l *serverLog) hintFor(text string) *hint {
	for _, h := range l.hints {
		for _, part := range h.parts {
			if strings.Contains(text, part) {
				return h
			}
		}
	}
	return nil
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
