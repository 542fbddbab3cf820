package httpserver

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"testing"

	"github.com/fanoutd/fanoutd/internal/control/identity"
	contract "github.com/fanoutd/fanoutd/proto"
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

// Everybody with a key is told what there is, and nobody else.
func TestWhatThereIs(t *testing.T) {
	w := serve(t, callers(t, identity.Key{Name: "x", Secret: "xx", Rights: identity.Rights{Scopes: []identity.Scope{identity.Emit}, Rooms: []string{"r"}}}), Options{})
	for _, path := range []string{"/openapi.json", "/proto", "/proto/fanout/v1/emitter.proto", "/proto/none"} {
		if resp := w.get(path); resp.StatusCode != 401 || parseError(t, readAll(t, resp)).says() != "KEY_MISSING" {
			t.Errorf("%s without a key: got %d", path, resp.StatusCode)
		}
	}
	const key = "Bearer xx"
	var document struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.NewDecoder(w.get("/openapi.json", "Authorization", key).Body).Decode(&document); err != nil || document.Paths[emitPath] == nil {
		t.Errorf("/openapi.json has %d paths, %v", len(document.Paths), err)
	}
	files := 0
	for archive := tar.NewReader(w.get("/proto", "Authorization", key).Body); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		files++
		got, err := io.ReadAll(archive)
		want, wantErr := fs.ReadFile(contract.Files(), h.Name)
		if err != nil || wantErr != nil || string(got) != string(want) {
			t.Errorf("%s: %v, %v", h.Name, err, wantErr)
		}
		if alone := readAll(t, w.get("/proto/"+h.Name, "Authorization", key)); alone != string(want) {
			t.Errorf("/proto/%s is another one", h.Name)
		}
	}
	if files < 7 {
		t.Errorf("/proto has %d files", files)
	}
	for _, path := range []string{"/proto/none", "/proto/fanout", "/proto/..%2f..%2fgo.mod", "/proto//etc/passwd"} {
		if resp := w.get(path, "Authorization", key); resp.StatusCode != 404 {
			t.Errorf("%s: got %d", path, resp.StatusCode)
		}
	}
}
