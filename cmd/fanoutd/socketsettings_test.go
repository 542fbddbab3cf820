package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestSocketSettings(t *testing.T) {
	c, err := load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.sockets; s.maxNamespaces != 10_000 || s.attachmentTimeout != 30*time.Second || s.recoveryWindow != 0 ||
		s.recoveryBytes != 64<<20 || s.volatile.policy != sio.DropNewest || len(s.volatile.policies) != 0 {
		t.Errorf("defaults are %+v", s)
	}
	c, err = load([]string{"--namespaces=/,tenant-*", "--max-namespaces=7", "--recovery-window=2m", "--recovery-bytes=2000000", "--attachment-timeout=5s"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var o sio.Options
	c.sockets.options(&o)
	if o.MaxChildren != 7 || o.RecoveryWindow != 2*time.Minute || o.RecoveryBytes != 2_000_000 || o.AttachmentTimeout != 5*time.Second {
		t.Errorf("options are %+v", o)
	}
	if !slices.Equal(c.namespaces, []string{"/", "/tenant-*"}) {
		t.Errorf("namespaces are %q", c.namespaces)
	}
	if c, err = load([]string{"--recovery-window=0"}, nil); err != nil || c.sockets.recoveryWindow != 0 {
		t.Errorf("recovery-window=0: %v", err)
	}
	for _, bad := range []string{"max-namespaces=0", "max-namespaces=x", "recovery-window=-1s", "recovery-window=1ms", "recovery-window=25h", "recovery-bytes=1", "attachment-timeout=0", "namespaces=/**"} {
		name, _, _ := strings.Cut(bad, "=")
		if _, err := load([]string{"--" + bad}, nil); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
