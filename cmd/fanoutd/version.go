package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the release, set by the linker: -ldflags "-X main.version=0.1.0".
var version = "dev"

// build says which build this is.
type build struct {
	version   string
	commit    string // empty: unknown; "+dirty" behind it: with local changes
	goVersion string
}

func readBuild() build {
	b := build{version: version, goVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if b.commit != "" && dirty {
		b.commit += "+dirty"
	}
	return b
}

func (b build) String() string {
	commit := b.commit
	if commit == "" {
		commit = "unknown"
	}
	return fmt.Sprintf("fanoutd %s (commit %s, %s)", b.version, commit, b.goVersion)
}
