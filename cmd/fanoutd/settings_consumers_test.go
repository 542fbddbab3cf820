package main

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/dispatch"
)

func TestDeliverySettings(t *testing.T) {
	get := func(args ...string) dispatch.Options {
		t.Helper()
		c, err := load(args, nil)
		if err != nil {
			t.Fatal(err)
		}
		var o dispatch.Options
		c.consumers.options(&o)
		return o
	}
	o := get()
	if o.VerdictTimeout != 5*time.Second || o.HoldTimeout != 45*time.Second || o.MaxAttempts != 10 || o.DeadLetterBytes != 64<<20 {
		t.Errorf("by default: %+v", o)
	}
	o = get("--verdict-timeout", "7s", "--hold-timeout", "1m", "--max-attempts", "3", "--dead-letter-bytes", "2097152")
	if o.VerdictTimeout != 7*time.Second || o.HoldTimeout != time.Minute || o.MaxAttempts != 3 || o.DeadLetterBytes != 2<<20 {
		t.Errorf("as set: %+v", o)
	}
	for _, bad := range []string{"verdict-timeout=0s", "hold-timeout=-1s", "max-attempts=0", "dead-letter-bytes=0"} {
		name, _, _ := strings.Cut(bad, "=")
		if _, err := load([]string{"--" + bad}, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want a refusal that names the setting", bad, err)
		}
	}
}

func TestNoConsumer(t *testing.T) {
	c, err := load([]string{"--namespaces", "/,/chat,/t-*", "--no-consumer", "drop,/chat=refuse,/t-*=buffer"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := c.consumers.absence
	want := byNamespace[dispatch.Policy]{dispatch.Drop, map[string]dispatch.Policy{"/chat": dispatch.Refuse, "/t-*": dispatch.Buffer}}
	if got.policy != want.policy || !maps.Equal(got.policies, want.policies) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"keep", "drop,buffer", "/a=drop,/a=drop", "a=drop", "/a=", "=drop", "/elsewhere=drop"} {
		if _, err := load([]string{"--no-consumer", bad}, nil); err == nil || !strings.Contains(err.Error(), "no-consumer") {
			t.Errorf("%s: %v, want a refusal that names the setting", bad, err)
		}
	}
}
