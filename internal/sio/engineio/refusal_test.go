package engineio

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A page that is refused again and again, with as long an Origin as HTTP takes, does not
// fill the log.
func TestRefusedOriginsAreToldNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := testServer(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		from := "https://" + strings.Repeat("a", 16<<10) + ".example.net"
		for range 100 {
			s.ServeHTTP(httptest.NewRecorder(), request("rt.example.com", from))
		}
		if n := strings.Count(log.String(), "refused a page"); n != 1 || log.Len() > 2000 {
			t.Errorf("%d lines of %d bytes in all, want one that is short", n, log.Len())
		}
		time.Sleep(time.Minute)
		s.ServeHTTP(httptest.NewRecorder(), request("rt.example.com", from))
		if !strings.Contains(log.String(), "requests=100\n") {
			t.Errorf("it is not told how many there were:\n%s", log.String())
		}
	})
}

// A proxy that nobody has listed is told of.
func TestHeadersOfUntrustedProxiesAreTold(t *testing.T) {
	tests := []struct {
		name, trusts, header string
		want                 int
	}{
		{"not trusted", "10.0.0.1", "X-Forwarded-For", 1},
		{"not trusted, by the standard", "10.0.0.1", "Forwarded", 1},
		{"trusted", "192.0.2.1", "X-Forwarded-For", 0},
		{"no such header", "10.0.0.1", "X-Other", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				proxies, err := ParseProxies([]string{tt.trusts})
				if err != nil {
					t.Fatal(err)
				}
				s := testServer(t, Options{Proxies: proxies, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				for range 3 {
					r := request("rt.example.com", "", tt.header, "203.0.113.7")
					r.URL.RawQuery = "EIO=4&transport=none"
					s.ServeHTTP(httptest.NewRecorder(), r) // httptest's peer is 192.0.2.1
				}
				if n := strings.Count(log.String(), "trusted-proxies"); n != tt.want {
					t.Errorf("%d warnings, want %d:\n%s", n, tt.want, log.String())
				}
			})
		})
	}
}

func testServer(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := NewServer(o, panickingHandler{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(t.Context()) })
	return s
}
