package httpserver

import (
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"

	"github.com/fanoutd/fanoutd/internal/control"
)

// The HTTP status of each code is the one that it is said to have.
func TestStatusOfCodes(t *testing.T) {
	for _, c := range control.Codes() {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Content-Type", "application/json")
		if err := connect.NewErrorWriter().Write(w, r, connect.NewError(connect.Code(c.Code), nil)); err != nil || w.Code != c.HTTP {
			t.Errorf("%v is %d, want %d, %v", c.Code, w.Code, c.HTTP, err)
		}
	}
}
