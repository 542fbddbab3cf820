package main

import (
	"maps"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/dispatch"
)

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
