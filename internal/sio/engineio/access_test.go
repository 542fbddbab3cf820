package engineio

import (
	"net/http/httptest"
	"testing"
)

// What is set while the server serves holds for the next request, of a session that is
// open too.
func TestSetAccess(t *testing.T) {
	const page = "https://app.example.com"
	origins := mustOrigins(t, page)
	inBubble(t, Options{}, func(w *world) {
		sid, _ := w.open()
		ask := func(query string) int { return w.do("POST", query, "6", "Origin", page).status }
		expect(t, "before", ask(sid), 403)
		w.server.SetAccess(Access{Origins: origins})
		expect(t, "let in", ask(sid), 200)
		w.server.SetAccess(Access{})
		expect(t, "kept out again", ask(sid), 403)
	})
}

func TestSetProxies(t *testing.T) {
	proxies, err := ParseProxies([]string{"203.0.113.9"})
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, Options{Limits: Limits{AddressPending: 1}}, func(w *world) {
		expect(t, "the proxy's first", w.from("203.0.113.9:1").status, 200)
		ask := func() int {
			r := httptest.NewRequest("GET", "http://server/socket.io/?"+fresh, nil)
			r.RemoteAddr = "203.0.113.9:2"
			r.Header.Set("X-Forwarded-For", "198.51.100.7")
			rec := httptest.NewRecorder()
			w.server.ServeHTTP(rec, r)
			return rec.Code
		}
		expect(t, "the proxy is not believed", ask(), 429)
		w.server.SetAccess(Access{Proxies: proxies})
		expect(t, "it is", ask(), 200)
	})
}
