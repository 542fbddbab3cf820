package engineio

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// TestSessionName: it is one session's alone, stays as it is, and says nothing of
// the sid.
func TestSessionName(t *testing.T) {
	inBubble(t, Options{}, func(w *world) {
		q, a := w.open()
		name := a.session.Name()
		_, b := w.open()
		if len(name) != 20 || name == a.session.id || name == b.session.Name() {
			t.Errorf("got the names %q and %q", name, b.session.Name())
		}
		c := w.dial(strings.Replace(q, "polling", "websocket", 1))
		c.Say("5")
		synctest.Wait()
		if got := a.session.Name(); got != name || a.session.Transport() != "websocket" {
			t.Errorf("after the upgrade: %q, want %q", got, name)
		}
		c.Close()
		other := newWorld(t, Options{})
		defer other.end()
		if s := (&Session{srv: other.server, id: a.session.id}); s.Name() == name {
			t.Error("another run of the server has the same name for the same sid")
		}
	})
}

// TestSessionSecure: only who is believed may say that TLS ends in front.
func TestSessionSecure(t *testing.T) {
	proxies, err := ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		remote string
		tls    bool
		header http.Header
		want   bool
	}{
		{"in plain text", "192.0.2.1:1", false, nil, false},
		{"by TLS", "192.0.2.1:1", true, nil, true},
		{"by a proxy that says nothing", "10.0.0.1:1", false, nil, false},
		{"by a proxy with TLS", "10.0.0.1:1", false, http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"192.0.2.1"}}, true},
		{"by a proxy with TLS, of a WebSocket", "10.0.0.1:1", false, http.Header{"X-Forwarded-Proto": {"wss"}}, true},
		{"by a proxy without TLS", "10.0.0.1:1", false, http.Header{"X-Forwarded-Proto": {"http"}}, false},
		{"by a proxy that encrypts what came to it in plain text", "10.0.0.1:1", true, http.Header{"X-Forwarded-Proto": {"http"}}, false},
		{"by a proxy that encrypts, and says nothing", "10.0.0.1:1", true, nil, true},
		{"by a proxy that knows Forwarded", "10.0.0.1:1", false, http.Header{"Forwarded": {"for=192.0.2.1;proto=https"}}, true},
		{"as anybody may say", "192.0.2.1:1", false, http.Header{"X-Forwarded-Proto": {"https"}, "Forwarded": {"proto=https"}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{Proxies: proxies}, func(w *world) {
				r := httptest.NewRequest("GET", "/socket.io/?EIO=4&transport=polling", nil)
				r.RemoteAddr = tt.remote
				for name, values := range tt.header {
					r.Header[name] = values
				}
				if tt.tls {
					r.TLS = &tls.ConnectionState{}
				}
				w.server.ServeHTTP(httptest.NewRecorder(), r)
				if got := w.last().session.Secure(); got != tt.want {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			})
		})
	}
}
