package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestReadyOnceKeysWereFetched: a daemon whose key set was never fetched lets
// nobody in, and says so; once it was, a failure of the key server changes nothing.
func TestReadyOnceKeysWereFetched(t *testing.T) {
	var up atomic.Bool
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte(`{"keys":[]}`))
	}))
	defer keys.Close()
	d := start(t, "--jwks-url="+keys.URL, "--jwt-algorithms=ES256", "--jwt-issuer=me", "--jwt-audience=us")
	if status, body := d.get(t, "operators", "/readyz"); status != 503 || !strings.Contains(body, "jwks-url") {
		t.Errorf("/readyz without keys: %d %s", status, body)
	}
	if status, _ := d.get(t, "operators", "/livez"); status != 200 {
		t.Errorf("/livez without keys: %d", status)
	}
	up.Store(true)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if status, body := d.get(t, "operators", "/readyz"); status == 200 {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("/readyz with keys: %d %s", status, body)
		}
	}
	up.Store(false)
	if status, body := d.get(t, "operators", "/readyz"); status != 200 {
		t.Errorf("/readyz after the keys: %d %s", status, body)
	}
}
