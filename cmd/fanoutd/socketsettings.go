package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// socketConfig is what the Socket.IO server was told beyond what has a setting
// since the beginning.
type socketConfig struct {
	maxNamespaces     int
	attachmentTimeout time.Duration
	recoveryWindow    time.Duration // 0: none
	recoveryBytes     int
	volatile          byNamespace[sio.VolatilePolicy]
}

var volatilePolicies = map[string]sio.VolatilePolicy{
	"drop-newest": sio.DropNewest, "drop-oldest": sio.DropOldest,
}

// Bounds of recovery-bytes: below, little is ever recovered.
const (
	minRecoveryBytes = 1 << 20
	maxRecoveryBytes = 64 << 30
)

// add adds the settings, each with its default in c.
func (c *socketConfig) add(s *settings) {
	const most = 1_000_000
	s.add("max-namespaces", "how many namespaces may exist at once because they match a pattern",
		newScalar(&c.maxNamespaces, strconv.Itoa(sio.DefaultMaxChildren), fmt.Sprintf("a number from 1 to %d", most), func(raw string) (int, error) {
			n, err := strconv.Atoi(raw)
			if err != nil || n < 1 || n > most {
				return 0, errNotAllowed
			}
			return n, nil
		}))
	s.add("volatile", "which volatile events are dropped for a client that cannot take them at once: drop-newest (the one that comes) or drop-oldest (it waits, and older ones go when too much does); for one namespace as in /map=drop-oldest",
		policyValue(&c.volatile, volatilePolicies, "drop-newest", "drop-newest or drop-oldest"))
	s.add("attachment-timeout", "how long a packet from a client may take from its text to its last attachment",
		durationValue(&c.attachmentTimeout, sio.DefaultAttachmentTimeout))
	s.add("recovery-window", "how long a client that was cut off may take to come back as the same connection, with its rooms and what it missed; 0: it may not",
		newScalar(&c.recoveryWindow, "0s", "0, or a duration from 1s to 24h such as 2m", func(raw string) (time.Duration, error) {
			d, err := time.ParseDuration(raw)
			if err != nil || d != 0 && d < time.Second || d > 24*time.Hour {
				return 0, errNotAllowed
			}
			return d, nil
		}))
	s.add("recovery-bytes", "bytes of events and connections that are kept for this; beyond it the oldest go first",
		bytesValue(&c.recoveryBytes, sio.DefaultRecoveryBytes, minRecoveryBytes, maxRecoveryBytes))
}

// options sets what the settings say.
func (c *socketConfig) options(o *sio.Options) {
	o.MaxChildren = c.maxNamespaces
	o.Volatile, o.VolatileIn = c.volatile.policy, c.volatile.policies
	o.AttachmentTimeout = c.attachmentTimeout
	o.RecoveryWindow = c.recoveryWindow
	o.RecoveryBytes = int64(c.recoveryBytes)
}
