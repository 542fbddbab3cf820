package web

import "testing"

func TestNegotiate(t *testing.T) {
	all := func(string) bool { return true }
	gzipOnly := func(name string) bool { return name == "gzip" }
	for _, tt := range []struct {
		header string
		has    func(string) bool
		want   string
	}{
		{"", all, ""},
		{"identity", all, ""},
		{"gzip", all, "gzip"},
		{"x-gzip", all, "gzip"},
		{"br", all, "br"},
		{"GZIP", all, "gzip"},
		{"gzip, deflate, br, zstd", all, "br"},
		{"gzip, deflate, br, zstd", gzipOnly, "gzip"},
		{"br", gzipOnly, ""},
		{"gzip;q=1.0, br;q=0.1", all, "gzip"},
		{"gzip ; q=0.5 , br; Q=0.8", all, "br"},
		{"gzip;q=0", all, ""},
		{"gzip;q=0, *", all, "br"},
		{"*", all, "br"},
		{"*;q=0", all, ""},
		{"br;q=0, *;q=0.5", all, "gzip"},
		{"identity, gzip;q=0.5", all, ""},
		{"identity;q=0.5, gzip;q=0.5", all, "gzip"},
		{"identity;q=0, gzip;q=0.1", all, "gzip"},
		{"identity;q=0", all, ""},
		{"gzip;q=2", all, ""},
		{"gzip;q=NaN", all, ""},
		{"gzip;q", all, ""},
		{"gzip;level=9", all, ""},
		{"gzip;", all, "gzip"},
		{"deflate, ,zstd", all, ""},
	} {
		if got := negotiate([]string{tt.header}, tt.has); got != tt.want {
			t.Errorf("negotiate(%q) = %q, want %q", tt.header, got, tt.want)
		}
	}
	if got := negotiate([]string{"deflate", "gzip;q=0.2"}, all); got != "gzip" {
		t.Errorf("two header lines: %q, want gzip", got)
	}
}
