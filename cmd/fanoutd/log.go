package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/fanoutd/fanoutd/internal/logwriter"
)

const (
	// logQueue is how many bytes of the log wait for a reader that stalls: some
	// thousands of lines.
	logQueue = 1 << 20
	// logEnd is how long the end of the process waits for such a reader.
	logEnd = time.Second
)

// logWriter is where the daemon's log goes: those who log never wait for its reader.
type logWriter struct{ *logwriter.Writer }

// newLogWriter returns a logWriter that writes to w. It says in this format how many
// lines it had to leave out.
func newLogWriter(w io.Writer, format string) logWriter {
	return logWriter{logwriter.New(w, logQueue, func(lines uint64) []byte {
		var note bytes.Buffer
		newLogger(&note, format, nil).Warn("log lines were left out: what reads the log did not keep up, or could not write it", "lines", lines)
		return note.Bytes()
	})}
}

// close waits a while until all is written.
func (w logWriter) close() {
	ctx, cancel := context.WithTimeout(context.Background(), logEnd)
	defer cancel()
	_ = w.Close(ctx) // there is nobody to tell
}

// newLogger returns a logger that writes to w.
func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == logJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
