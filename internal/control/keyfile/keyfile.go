// Package keyfile reads the keys of the control API from files, and keeps them as they
// are there: files are replaced to rotate keys.
package keyfile

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// interval is the time between two looks at the file. It is looked into, rather
// than watched: Kubernetes replaces a symbolic link to a directory above it, and
// network file systems tell nobody.
const interval = 2 * time.Second

// Watcher keeps the keys those of files. Create it with [New]; its methods are for one
// goroutine.
type Watcher struct {
	files   []string
	read    func() ([]identity.Key, error)
	callers *identity.Authenticator
	log     *slog.Logger
	failure string // the last one that was logged; empty: the keys are those of the file
}

// New returns a Watcher of these files. read returns the keys that callers should have
// now; its errors must not repeat them.
func New(files []string, read func() ([]identity.Key, error), callers *identity.Authenticator, log *slog.Logger) *Watcher {
	return &Watcher{files: files, read: read, callers: callers, log: log}
}

// Run replaces the keys within seconds after a file has changed, and at once
// when again receives, until ctx ends. While a file cannot be read, the keys
// stay as they are, and the log says why.
func (w *Watcher) Run(ctx context.Context, again <-chan os.Signal) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		asked := false
		select {
		case <-ticker.C:
		case <-again:
			asked = true
		case <-ctx.Done():
			return
		}
		w.reload(asked)
	}
}

// reload logs what is new, and whatever it finds if somebody asked for it.
func (w *Watcher) reload(asked bool) {
	keys, changed, err := w.callers.Reread(w.read)
	switch {
	case err != nil:
		if asked || err.Error() != w.failure {
			w.log.Error("the control keys stay as they are: a file of them is no good", "files", w.files, "error", err)
		}
		w.failure = err.Error()
		return
	case changed:
		w.log.Info("the control keys have changed", "files", w.files, "keys", keys)
	case asked || w.failure != "":
		w.log.Info("the control keys are those of their files", "files", w.files, "keys", keys)
	}
	w.failure = ""
}
