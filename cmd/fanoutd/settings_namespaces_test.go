package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/dispatch"
	"github.com/fanoutd/fanoutd/internal/sio"
)

func TestNamespaceSettings(t *testing.T) {
	c, err := load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.namespaces; s.maxNamespaces != 10_000 || c.limits.attachmentTimeout != 30*time.Second || s.recoveryWindow != 0 ||
		s.recoveryBytes != 64<<20 || s.volatile.policy != sio.DropNewest || len(s.volatile.policies) != 0 {
		t.Errorf("defaults are %+v", s)
	}
	c, err = load([]string{"--namespaces=/,tenant-*", "--max-namespaces=7", "--recovery-window=2m", "--recovery-bytes=2000000", "--attachment-timeout=5s"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var o sio.Options
	c.namespaces.options(&o)
	c.limits.options(&o)
	if o.MaxChildren != 7 || o.RecoveryWindow != 2*time.Minute || o.RecoveryBytes != 2_000_000 || o.AttachmentTimeout != 5*time.Second {
		t.Errorf("options are %+v", o)
	}
	if !slices.Equal(c.namespaces.names, []string{"/", "/tenant-*"}) {
		t.Errorf("namespaces are %q", c.namespaces.names)
	}
	c, err = load([]string{"--namespaces=*,chat", "--no-consumer=*=refuse", "--volatile=*=drop-oldest", "--webhook-url=http://h", "--webhook-namespaces=*"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.alike()["namespaces"]; got != "*,/chat" {
		t.Errorf("namespaces with a star are %q to other nodes", got)
	}
	if got := c.webhooks.endpoints[0].Namespaces; !slices.Equal(got, []string{"*"}) {
		t.Errorf("the namespaces of the webhook are %q", got)
	}
	if c.consumers.absence.policies["*"] != dispatch.Refuse || c.namespaces.volatile.policies["*"] != sio.DropOldest {
		t.Errorf("the policies of the star are %v and %v", c.consumers.absence.policies, c.namespaces.volatile.policies)
	}
	if c, err = load([]string{"--recovery-window=0"}, nil); err != nil || c.namespaces.recoveryWindow != 0 {
		t.Errorf("recovery-window=0: %v", err)
	}
	for _, bad := range []string{"max-namespaces=0", "max-namespaces=x", "recovery-window=-1s", "recovery-window=1ms", "recovery-window=25h", "recovery-bytes=1", "attachment-timeout=0", "namespaces=/**", "namespaces=**", "namespaces=*,*", "no-consumer=*=refuse"} {
		name, _, _ := strings.Cut(bad, "=")
		if _, err := load([]string{"--" + bad}, nil); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestVolatilePolicies(t *testing.T) {
	c, err := load([]string{"--namespaces", "/,/map-*", "--volatile", "/map-*=drop-oldest"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.namespaces.volatile; got.policy != sio.DropNewest || got.policies["/map-*"] != sio.DropOldest {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"keep", "drop-oldest,drop-newest", "/elsewhere=drop-oldest"} {
		if _, err := load([]string{"--volatile", bad}, nil); err == nil || !strings.Contains(err.Error(), "volatile") {
			t.Errorf("%s: %v, want a refusal that names the setting", bad, err)
		}
	}
}
