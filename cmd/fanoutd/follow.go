package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/fanoutd/fanoutd/internal/settings"
)

// source is where the settings of a daemon came from, and come from again.
type source struct {
	hangups chan os.Signal // has one for each SIGHUP; several at once may be one
	level   *slog.LevelVar // of the logger

	// load reads the settings once more: flags and variables as at the start, and the file,
	// which holds text; nil: it is read.
	load func(text []byte) (*config, error)
}

// newSource returns the source of what load reads. From here on SIGHUP does not end the
// process.
func newSource(load func(text []byte) (*config, error)) *source {
	o := &source{hangups: make(chan os.Signal, 1), load: load, level: &slog.LevelVar{}}
	signal.Notify(o.hangups, syscall.SIGHUP)
	return o
}

// lookInterval is the time between two looks at the files of secrets. They are looked
// into, rather than watched: Kubernetes replaces a symbolic link to a directory above
// them, and network file systems tell nobody.
const lookInterval = 2 * time.Second

// follower has changes of settings take effect. It is for one goroutine.
type follower struct {
	source    *source
	reloaders []reloader
	log       *slog.Logger

	inForce map[string]string // of each setting, what takes effect
	text    []byte            // of the settings' file, when it was last good
	files   []string          // settings of reloaders that name files
	set     *settings.Set     // that says which files
	sums    map[string]string // of what is in them, when they were last read; nil: they may have changed since
	failure string            // why what is in them has no effect, as it was logged; empty: it has
}

// newFollower returns one of a daemon that runs as c says.
func newFollower(c *config, from *source, reloaders []reloader, log *slog.Logger) *follower {
	f := &follower{source: from, reloaders: reloaders, log: log, inForce: c.set.Texts(), text: c.set.FileText, set: c.set}
	for _, r := range reloaders {
		for _, name := range r.settings {
			if c.set.Get(name).IsFile() {
				f.files = append(f.files, name)
			}
		}
	}
	return f
}

// run reads the settings again at SIGHUP, and files of secrets within seconds after they
// have changed, until ctx ends.
func (f *follower) run(ctx context.Context) {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		select {
		case <-f.source.hangups:
			f.hangUp()
		case <-ticker.C:
			f.look()
		case <-ctx.Done():
			return
		}
	}
}

// hangUp has what can change without a restart take effect, and logs what cannot.
func (f *follower) hangUp() {
	sums := f.set.FileSums(f.files) // before they are read: a later change is seen at the next look
	next, err := f.source.load(nil)
	if err != nil {
		for _, problem := range settings.Each(err) {
			f.log.Error("SIGHUP: the settings stay as they are", "error", problem)
		}
		return
	}
	f.text, f.set, f.failure = next.set.FileText, next.set, ""
	f.sums = sums
	changed, restart := f.apply(next)
	f.log.Info("SIGHUP: the settings have been read again", "changed", changed)
	if len(restart) > 0 {
		f.log.Warn("SIGHUP: settings have changed that take effect at a restart only", "settings", restart)
	}
}

// look has what is in files of secrets take effect if it has changed. The settings' file
// counts as it was: it is for SIGHUP to have it read.
func (f *follower) look() {
	sums := f.set.FileSums(f.files)
	if f.failure == "" && f.sums != nil && maps.Equal(sums, f.sums) {
		return
	}
	next, err := f.source.load(f.text)
	if err != nil {
		if err.Error() != f.failure {
			for _, problem := range settings.Each(err) {
				f.log.Error("a file has changed that a setting names, and all stays as it is", "error", problem)
			}
		}
		f.failure = err.Error()
		return
	}
	var changed []string
	for _, name := range f.files {
		if f.sums != nil && sums[name] != f.sums[name] {
			changed = append(changed, name)
		}
	}
	mended := f.failure != ""
	f.sums, f.failure = sums, ""
	f.apply(next)
	if mended || len(changed) > 0 {
		f.log.Info("files that settings name have been read again", "changed", changed)
	}
}

// apply has next take effect, and returns which settings have changed by it, and which
// would have to, by a restart.
func (f *follower) apply(next *config) (changed, restart []string) {
	differ := map[string]string{}
	for name, text := range next.set.Texts() {
		if f.inForce[name] != text {
			differ[name] = text
		}
	}
	for _, r := range f.reloaders {
		err := r.apply(next)
		if err != nil && !errors.Is(err, errRestart) {
			f.log.Error("settings stay as they are", "settings", r.settings, "error", err)
		}
		for _, name := range r.settings {
			if text, ok := differ[name]; ok && err == nil {
				f.inForce[name] = text
				changed = append(changed, name)
				delete(differ, name)
			}
		}
	}
	return changed, slices.Sorted(maps.Keys(differ))
}
