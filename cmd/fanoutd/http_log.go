package main

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// Of what net/http says, this is about a peer whose connection ends before its first
// request: one that is no client, that does not trust the certificate, or a health check
// of a balancer.
var ofStrangers = [][]byte{[]byte("http: TLS handshake error from "), []byte("http2: server: error reading preface from client ")}

// httpLog logs what net/http has to say as warnings, and mistakes of peers at debug level.
type httpLog struct{ *slog.Logger }

// newHTTPLog returns where a server's own log goes.
func newHTTPLog(to *slog.Logger) *log.Logger { return log.New(httpLog{to}, "", 0) }

// Write logs one line.
func (l httpLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	for _, begin := range ofStrangers {
		if bytes.HasPrefix(line, begin) {
			level = slog.LevelDebug
		}
	}
	l.Log(context.Background(), level, "net/http says", "error", string(bytes.TrimSpace(line)))
	return len(line), nil
}
