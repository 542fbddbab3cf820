package dispatch

import "testing"

// A policy for a pattern holds in the namespaces that match it first, and one for a
// namespace's own name before that.
func TestPolicyOfAPattern(t *testing.T) {
	d := New(Options{
		Policy:     Drop,
		Namespaces: []string{"/", "/t-own", "/t-vip-*", "/t-*"},
		Policies:   map[string]Policy{"/t-own": Buffer, "/t-*": Refuse},
	})
	for namespace, want := range map[string]Policy{
		"/": Drop, "/t-own": Buffer, "/t-1": Refuse, "/t-vip-1": Drop, "/t-": Drop, "/other": Drop,
	} {
		if got := d.policy(namespace); got != want {
			t.Errorf("%s: %v, want %v", namespace, got, want)
		}
	}
	// That of the star holds where no other pattern matches, wherever it stands.
	d = New(Options{
		Policy:     Drop,
		Namespaces: []string{"*", "/", "/t-*", "/u-*"},
		Policies:   map[string]Policy{"/": Buffer, "*": Refuse, "/t-*": Buffer},
	})
	for namespace, want := range map[string]Policy{"/": Buffer, "/t-1": Buffer, "/u-1": Drop, "/x": Refuse, "/t-1/x": Refuse} {
		if got := d.policy(namespace); got != want {
			t.Errorf("beside a star, %s: %v, want %v", namespace, got, want)
		}
	}
}
