package httpserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fanoutd/fanoutd/internal/control/identity"
)

// A stream that ServeAs serves ends with its request's context, with the caller's key, and
// with the server, however little happens in it.
func TestStreamsOfServeAsEnd(t *testing.T) {
	for _, form := range forms {
		for _, tt := range []struct {
			name string
			end  func(cancel context.CancelFunc, a *identity.Authenticator, w *world)
			code string
		}{
			{"its context", func(cancel context.CancelFunc, _ *identity.Authenticator, _ *world) { cancel() }, "canceled"},
			{"its key", func(_ context.CancelFunc, a *identity.Authenticator, _ *world) {
				if _, err := a.Replace([]identity.Key{{Name: "x", Secret: "next"}}); err != nil {
					t.Error(err)
				}
			}, "unauthenticated"},
			{"the server", func(_ context.CancelFunc, _ *identity.Authenticator, w *world) { go w.Shutdown(context.Background()) }, "unavailable"},
		} {
			t.Run(form.name+", "+tt.name, func(t *testing.T) {
				a := callers(t, identity.Key{Name: "x", Secret: "one"})
				caller, err := a.Authenticate([]string{"Bearer one"}, nil)
				if err != nil {
					t.Fatal(err)
				}
				w := serve(t, a, Options{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				other := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) { w.ServeAs(to, r.WithContext(ctx), caller) }))
				defer other.Close()
				r := w.request(tailPath, form.body(`{}`), form.headers...)
				r.URL.Host = other.Listener.Addr().String()
				answers := form.scan(w.do(r).Body) // which has begun
				tt.end(cancel, a, w)
				if !answers.Scan() || !strings.HasPrefix(answers.Text(), form.failed+`"code":"`+tt.code+`"`) {
					t.Errorf("got %q, %v, want %s", answers.Text(), answers.Err(), tt.code)
				}
				if answers.Scan() {
					t.Errorf("and then %q", answers.Text())
				}
			})
		}
	}
}
