package settings

import "testing"

func TestAddressMeets(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{":8080", ":8080", true},
		{":8080", ":8081", false},
		{":0", ":0", false}, // the system chooses
		{":8080", "127.0.0.1:8080", true},
		{"[::]:8080", "10.0.0.1:8080", true},
		{"0.0.0.0:8080", "127.0.0.1:8080", true},
		{"0.0.0.0:8080", "[::]:8080", true},
		{"0.0.0.0:8080", "[::1]:8080", false},
		{"127.0.0.1:8080", "127.0.0.1:08080", true},
		{"127.0.0.1:8080", "localhost:8080", true},
		{"127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", true},
		{"127.0.0.1:8080", "127.0.0.2:8080", false},
		{"127.0.0.1:8080", "[::1]:8080", false},
		{"a.example:8080", "A.example:8080", true},
		{"a.example:8080", "127.0.0.1:8080", false}, // nobody knows
		{"a.example:8080", "0.0.0.0:8080", false},   // it may have IPv6 alone, as ip6-localhost has
		{"a.example:8080", ":8080", true},
		{"unix:/run/a", "unix:/run//x/../a", true},
		{"unix:/run/a", "unix:/run/b", false},
		{"unix:/run/a", ":8080", false},
	}
	for _, tt := range tests {
		a, errA := parseAddress(tt.a, true)
		b, errB := parseAddress(tt.b, true)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a.Meets(b) != tt.want || b.Meets(a) != tt.want {
			t.Errorf("%s and %s: %v and %v, want %v", a, b, a.Meets(b), b.Meets(a), tt.want)
		}
	}
	if (Address{}).Meets(Address{}) {
		t.Error("nowhere meets itself")
	}
}
