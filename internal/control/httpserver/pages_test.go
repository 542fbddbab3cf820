package httpserver

import (
	"net/http"
	"testing"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

func (w *world) get(path string, headers ...string) *http.Response {
	w.t.Helper()
	r := w.request(path, "", headers...)
	r.Method = http.MethodGet
	return w.do(r)
}

// Health needs no key, and says no once the drain has begun.
func TestHealth(t *testing.T) {
	w := serve(t, callers(t, identity.Key{Name: "x", Secret: "xx"}), Options{})
	if resp := w.get("/healthz"); resp.StatusCode != 200 || readAll(t, resp) != "{\"status\":\"SERVING\"}\n" {
		t.Errorf("got %d", resp.StatusCode)
	}
	w.services.NotServing()
	if resp := w.get("/healthz"); resp.StatusCode != 503 || readAll(t, resp) != "{\"status\":\"NOT_SERVING\"}\n" {
		t.Errorf("at the drain: got %d", resp.StatusCode)
	}
}
