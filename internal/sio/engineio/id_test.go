package engineio

import (
	"strings"
	"testing"
)

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for _, epoch := range []string{"", "ab-_9"} {
		for range 1000 {
			id := NewID(epoch)
			if len(id) != 20 || !strings.HasPrefix(id, epoch) || seen[id] {
				t.Fatalf("id %q", id)
			}
			if epoch != "" && EpochOf(id) != epoch {
				t.Errorf("the epoch of %q is %q", id, EpochOf(id))
			}
			seen[id] = true
		}
	}
	if EpochOf("abcd") != "" {
		t.Error("what is too short has an epoch")
	}
	for epoch, good := range map[string]bool{"": true, "ab-_9": true, "abcd": false, "abcdef": false, "ab.de": false, "ab+de": false} {
		if _, err := (Options{Epoch: epoch}).withDefaults(); (err == nil) != good {
			t.Errorf("epoch %q: %v", epoch, err)
		}
	}
}
