package certfile

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
)

// maxFile bounds a file, in bytes: a chain of certificates has a few thousand, an
// operating system's list of authorities a quarter of a million.
const maxFile = 1 << 20

// read reads one file, which has to be a regular one: a pipe would never end.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	return bytes.TrimPrefix(text, []byte("\ufeff")), err // a block after a byte order mark would not be seen
}

func readAll(paths []string) (texts [][]byte, err error) {
	for _, path := range paths {
		text, err := read(path)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// files are files that mean something together, and what that is.
type files[T any] struct {
	who   string // for the log
	paths []string
	parse func(texts [][]byte) (T, error)
	doubt func(T) string    // why peers will not take it; empty: they will; nil: they are not asked
	now   atomic.Pointer[T] // what was read last and was right

	// Of the Watcher's goroutine.
	texts   [][]byte // that it was read from
	failure string   // why they are wrong since then; empty: they are not
	logged  bool     // failure is
}

// open reads the files for the first time.
func (f *files[T]) open() error {
	texts, err := readAll(f.paths)
	if err != nil {
		return err
	}
	value, err := f.parse(texts)
	if err != nil {
		return err
	}
	f.texts = texts
	f.now.Store(&value)
	return nil
}

// reload reads the files again. It logs what is new, and whatever it finds if somebody
// asked for it. A failure that nobody asked about is logged when it is seen a second
// time: files that are replaced one after the other do not belong together for a moment.
func (f *files[T]) reload(asked bool, log *slog.Logger) {
	texts, err := readAll(f.paths)
	if err == nil && slices.EqualFunc(texts, f.texts, bytes.Equal) {
		if asked || f.logged {
			log.Info("the certificates are those of their files", "who", f.who, "files", f.paths)
		}
		f.failure, f.logged = "", false
		return
	}
	var value T
	if err == nil {
		value, err = f.parse(texts)
	}
	if err != nil {
		again := err.Error() == f.failure
		if asked || again && !f.logged {
			log.Error("the certificates stay as they are: their files are no good", "who", f.who, "files", f.paths, "error", err)
		}
		f.failure, f.logged = err.Error(), asked || again
		return
	}
	f.texts, f.failure, f.logged = texts, "", false
	f.now.Store(&value)
	log.Info("the certificates have changed", "who", f.who, "files", f.paths)
	f.warn(log)
}

// warn logs what peers will not take.
func (f *files[T]) warn(log *slog.Logger) {
	if f.doubt == nil {
		return
	}
	if doubt := f.doubt(*f.now.Load()); doubt != "" {
		log.Warn(doubt, "who", f.who, "files", f.paths)
	}
}
