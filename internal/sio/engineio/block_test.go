package engineio

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestBlockedAddresses are refused with 403 on every transport, whatever they ask for; who
// the client is trusted proxies say, and how an address is written does not matter.
func TestBlockedAddresses(t *testing.T) {
	blocked := netip.MustParsePrefix("203.0.113.0/24")
	proxies, err := ParseProxies([]string{"192.0.2.1"}) // httptest's peer
	if err != nil {
		t.Fatal(err)
	}
	origins, err := ParseOrigins([]string{"https://app.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	s := testServer(t, Options{Proxies: proxies, Origins: origins, Blocked: blocked.Contains})
	wt := &WebTransport{srv: s}
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
	for _, tt := range []struct {
		name, query string
		headers     []string
		body        string
	}{
		{"polling", "EIO=4&transport=polling", nil, `{"code":4,"message":"blocked"}`},
		{"a poll of a session", "EIO=4&transport=polling&sid=x", nil, `{"code":4,"message":"blocked"}`},
		{"WebSocket", "EIO=4&transport=websocket", upgrade, "blocked"},
		{"WebTransport", "EIO=4&transport=webtransport", nil, `{"code":4,"message":"blocked"}`},
	} {
		for from, want := range map[string]int{"203.0.113.7": 403, "::ffff:203.0.113.7": 403, "203.0.113.7, 192.0.2.1": 403, "203.0.114.7": 0, "203.0.113.7, 203.0.114.7": 0} {
			r := request("rt.example.com", "https://app.example.com", append([]string{"X-Forwarded-For", from}, tt.headers...)...)
			r.URL.RawQuery = tt.query
			if want == 0 && tt.name != "a poll of a session" {
				r.URL.RawQuery = "transport=none" // to be refused for something else
			}
			w := httptest.NewRecorder()
			if tt.name == "WebTransport" {
				wt.serve(w, r)
			} else {
				s.ServeHTTP(w, r)
			}
			body := strings.TrimSpace(w.Body.String())
			if got := w.Code == 403 && body == tt.body; got != (want == 403) {
				t.Errorf("%s from %s: %d %s", tt.name, from, w.Code, body)
			}
			if want == 403 && tt.name == "polling" && w.Header().Get("Access-Control-Allow-Origin") != "https://app.example.com" {
				t.Error("the page may not read why")
			}
		}
	}
	if got := s.Refused()["blocked"]; got != 12 {
		t.Errorf("%d were counted, want 12", got)
	}
}

// TestBlockedWhileItOpens: a session that is opened while its address is blocked is either
// found by who looks for such, or refused.
func TestBlockedWhileItOpens(t *testing.T) {
	var asked atomic.Int32
	s := testServer(t, Options{Blocked: func(netip.Addr) bool { return asked.Add(1) > 1 }})
	r := request("rt.example.com", "")
	r.URL.RawQuery = "EIO=4&transport=polling"
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "blocked") || s.Open() != 0 {
		t.Errorf("%d %s, %d sessions", w.Code, w.Body, s.Open())
	}
}

// TestBlockedMeanwhile: where an address is blocked while a request from it is on its way,
// and nobody who looked for its sessions has found this one, the request ends it.
func TestBlockedMeanwhile(t *testing.T) {
	proxies, err := ParseProxies([]string{"unix"})
	if err != nil {
		t.Fatal(err)
	}
	const from = "203.0.113.7"
	for name, request := range map[string]func(w *world, query string, h *heard){
		"a poll": func(w *world, query string, _ *heard) { w.do("GET", query, "", "X-Forwarded-For", from) },
		"a POST": func(w *world, query string, _ *heard) { w.do("POST", query, "4late", "X-Forwarded-For", from) },
		"WebSocket": func(w *world, query string, _ *heard) {
			c, res, err := w.listener.DialWS(w.t, strings.Replace(query, "polling", "websocket", 1), "X-Forwarded-For", from)
			if err != nil {
				w.t.Fatal(err)
			}
			res.Body.Close()
			c.Close()
		},
		"WebTransport": func(w *world, _ string, h *heard) {
			c := w.streamFrom(from, "")
			c.say(`0{"sid":"` + h.session.id + `"}`)
			c.ended()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			blocked := func(a netip.Addr) bool {
				before := asked.Add(1) == 1 && name != "WebTransport" // whose request is not part of this
				return a == netip.MustParseAddr(from) && !before
			}
			inBubble(t, Options{Proxies: proxies, Blocked: blocked, WebTransport: true}, func(w *world) {
				query, h := w.open()
				asked.Store(0)
				request(w, query, h)
				synctest.Wait()
				expect(t, "reason", h.closedWith(), ReasonForcedServer)
				expect(t, "detail", h.session.Detail(), "blocked")
				expect(t, "received", len(h.messages()), 0)
			})
		})
	}
}
