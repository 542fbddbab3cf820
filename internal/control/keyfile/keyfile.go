// Package keyfile keeps the keys of the control API those of a file, which is
// replaced to rotate them. It knows no format of keys.
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

// File is a file of keys. Create it with [New]; its methods are for one goroutine.
type File struct {
	path    string
	read    func(path string) ([]identity.Key, error)
	callers *identity.Authenticator
	log     *slog.Logger
	failure string // the last one that was logged; empty: the keys are those of the file
}

// New returns the file at path, whose keys read returns; its errors must not
// repeat them.
func New(path string, read func(path string) ([]identity.Key, error), callers *identity.Authenticator, log *slog.Logger) *File {
	return &File{path: path, read: read, callers: callers, log: log}
}

// Run replaces the keys within seconds after the file has changed, and at once
// when again receives, until ctx ends. Without a file that can be read, the keys
// stay as they are, and the log says why.
func (f *File) Run(ctx context.Context, again <-chan os.Signal) {
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
		f.reload(asked)
	}
}

// reload logs what is new, and whatever it finds if somebody asked for it.
func (f *File) reload(asked bool) {
	keys, err := f.read(f.path)
	var changed bool
	if err == nil {
		changed, err = f.callers.Replace(keys)
	}
	switch {
	case err != nil:
		if asked || err.Error() != f.failure {
			f.log.Error("the control keys stay as they are: their file is no good", "file", f.path, "error", err)
		}
		f.failure = err.Error()
		return
	case changed:
		f.log.Info("the control keys have changed", "file", f.path, "keys", len(keys))
	case asked || f.failure != "":
		f.log.Info("the control keys are those of their file", "file", f.path, "keys", len(keys))
	}
	f.failure = ""
}
