package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/fanoutd/fanoutd/internal/settings"
	"github.com/fanoutd/fanoutd/internal/sio"
)

// namespaceConfig says which namespaces there are and what is kept in them.
type namespaceConfig struct {
	names          []string // and patterns
	maxNamespaces  int
	maxRooms       int
	volatile       byNamespace[sio.VolatilePolicy]
	recoveryWindow time.Duration // 0: none
	recoveryBytes  int
}

var volatilePolicies = map[string]sio.VolatilePolicy{
	"drop-newest": sio.DropNewest, "drop-oldest": sio.DropOldest,
}

// Bounds of recovery-bytes: below, little is ever recovered.
const (
	minRecoveryBytes = 1 << 20
	maxRecoveryBytes = 64 << 30
)

// declare adds the settings, each with its default in c.
func (c *namespaceConfig) declare(s *settings.Set) {
	s.Declare("Namespaces",
		settings.Setting{
			Name: "namespaces", Help: "the namespaces that clients may join; /tenant-* lets them join, and so make, any whose name fits, and * any at all, / included, that nothing else of the list has and that a consumer or the hook lets them into",
			Value: settings.List(&c.names, []string{"/"}, "names such as /chat and patterns such as /tenant-*, or * alone, each once, without comma or question mark", parseNamespaces),
		},
		settings.Setting{
			Name: "max-namespaces", Help: "how many namespaces may exist at once because they match a pattern",
			Value: settings.Number(&c.maxNamespaces, sio.DefaultMaxChildren, 1, 1_000_000),
		},
		settings.Setting{
			Name: "max-rooms", Help: "rooms of one connection, that of its own id included; a Join that would exceed it is refused",
			Value: settings.Number(&c.maxRooms, sio.DefaultMaxRooms, 1, 1_000_000),
		},
		settings.Setting{
			Name:  "volatile",
			Help:  "which volatile events are dropped for a client that cannot take them at once: drop-newest (the one that comes) or drop-oldest (it waits, and older ones go when too much does); for one namespace as in /map=drop-oldest",
			Value: policies(&c.volatile, volatilePolicies, "drop-newest", "drop-newest or drop-oldest"),
		},
	)
	s.Declare("Recovery",
		settings.Setting{
			Name:  "recovery-window",
			Help:  "how long a client that was cut off may take to come back as the same connection, with its rooms and what it missed; 0: it may not",
			Value: settings.OptionalDuration(&c.recoveryWindow, 0, time.Second),
		},
		settings.Setting{
			Name: "recovery-bytes", Help: "bytes of events and connections that are kept for this; beyond it the oldest go first",
			Value: settings.Bytes(&c.recoveryBytes, sio.DefaultRecoveryBytes, minRecoveryBytes, maxRecoveryBytes),
		},
	)
}

// check refuses what makes no sense together.
func (c *namespaceConfig) check(s *settings.Set) error {
	return c.volatile.check(s.Get("volatile"), c.names)
}

// options sets what the settings say.
func (c *namespaceConfig) options(o *sio.Options) {
	o.Namespaces = c.names
	o.MaxChildren = c.maxNamespaces
	o.MaxRooms = c.maxRooms
	o.Volatile, o.VolatileIn = c.volatile.policy, c.volatile.policies
	o.RecoveryWindow = c.recoveryWindow
	o.RecoveryBytes = int64(c.recoveryBytes)
}

// fullName is the name of a namespace, or a pattern, whose slash in front may be left out.
func fullName(name string) string {
	if name == sio.EveryNamespace || strings.HasPrefix(name, "/") {
		return name
	}
	return "/" + name
}

// parseNamespaces checks the namespaces; the slash in front may be left out.
func parseNamespaces(names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("no namespace: nobody could connect")
	}
	seen := map[string]bool{}
	full := make([]string, len(names))
	for i, name := range names {
		name = fullName(name)
		if err := sio.CheckNamespace(name); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, fmt.Errorf("%s is listed twice", name)
		}
		seen[name] = true
		full[i] = name
	}
	return full, nil
}
