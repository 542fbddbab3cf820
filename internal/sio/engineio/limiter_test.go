package engineio

import (
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// from opens a polling session as somebody.
func (w *world) from(addr string) reply {
	r := httptest.NewRequest("GET", "http://server/socket.io/?"+fresh, nil)
	r.RemoteAddr = addr
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return reply{rec.Code, rec.Body.String(), rec.Header(), nil}
}

func TestAddressPending(t *testing.T) {
	inBubble(t, Options{Limits: Limits{AddressPending: 2}}, func(w *world) {
		for range 2 {
			expect(t, "status", w.from("203.0.113.9:1").status, 200)
		}
		r := w.from("203.0.113.9:2")
		expect(t, "third", r.status, 429)
		expect(t, "body", r.body, `{"code":4,"message":"Too many sessions of this address have joined nothing"}`)
		if after, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || after < retryAfter || after > 2*retryAfter {
			t.Errorf("Retry-After is %q, want from %d to %d", r.header.Get("Retry-After"), retryAfter, 2*retryAfter)
		}
		expect(t, "another address", w.from("203.0.113.10:1").status, 200)
		for range 5 {
			expect(t, "a neighbour", w.from("10.0.0.1:1").status, 200)
		}
		expect(t, "IPv6", w.from("[2001:db8::1]:1").status+w.from("[2001:db8::2]:1").status, 400)
		expect(t, "IPv6, same network", w.from("[2001:db8::3]:1").status, 429)

		w.sessions[0].session.MarkJoined()
		expect(t, "after one joined", w.from("203.0.113.9:3").status, 200)
		w.sessions[1].session.Close(ReasonForcedClose)
		w.sessions[1].session.MarkJoined() // late: nothing to undo
		time.Sleep(lastPollWait)
		expect(t, "after one ended", w.from("203.0.113.9:4").status, 200)
		expect(t, "at the limit again", w.from("203.0.113.9:5").status, 429)
	})
}

func TestAddressRate(t *testing.T) {
	inBubble(t, Options{Limits: Limits{AddressRate: 2}}, func(w *world) {
		open := func() (n int) {
			for w.from("203.0.113.9:1").status == 200 {
				n++
			}
			return n
		}
		expect(t, "at once", open(), 2*addressBurst)
		l, other := w.server.limiter, netip.MustParseAddr("198.51.100.1")
		for l.slot(other) == l.slot(netip.MustParseAddr("203.0.113.9")) { // by chance
			other = other.Next()
		}
		expect(t, "another address", w.from(netip.AddrPortFrom(other, 1).String()).status, 200)
		time.Sleep(3 * time.Second)
		expect(t, "after three seconds", open(), 6)
		time.Sleep(time.Hour)
		expect(t, "after an hour", open(), 2*addressBurst)
	})
}

func TestAddressSessions(t *testing.T) {
	inBubble(t, Options{Limits: Limits{AddressSessions: 2}}, func(w *world) {
		for i := range 2 {
			expect(t, "status", w.from("203.0.113.9:1").status, 200)
			w.sessions[i].session.MarkJoined()
		}
		r := w.from("203.0.113.9:2")
		expect(t, "third", r.status, 429)
		expect(t, "body", r.body, `{"code":4,"message":"Too many sessions of this address"}`)
		expect(t, "another address", w.from("203.0.113.10:1").status, 200)
		for range 5 {
			expect(t, "a neighbour", w.from("10.0.0.1:1").status, 200)
			expect(t, "a unix socket", w.from("@").status, 200)
		}
		w.sessions[0].session.Close(ReasonPingTimeout)
		time.Sleep(time.Millisecond)
		expect(t, "after one ended", w.from("203.0.113.9:3").status, 200)
		expect(t, "at the limit again", w.from("203.0.113.9:4").status, 429)
		expect(t, "refused", w.server.Refused()["max-address-sessions"], 2)
	})
}

// What is allowed grows evenly after the start, and holds for private addresses too.
func TestHandshakeRate(t *testing.T) {
	inBubble(t, Options{Limits: Limits{HandshakeRate: 100, StartRamp: 10 * time.Second}}, func(w *world) {
		refused := uint64(0)
		open := func() (n int) {
			for ; ; n++ {
				switch r := w.from("10.0.0.1:1"); r.status {
				case 200:
				case 503:
					refused++
					expect(t, "body", r.body, `{"code":4,"message":"Server busy: too many handshakes"}`)
					return n
				default:
					t.Fatalf("status %d: %s", r.status, r.body)
				}
			}
		}
		expect(t, "at the start", open(), 10)
		time.Sleep(time.Second)
		expect(t, "after a second", open(), 19)
		time.Sleep(4 * time.Second)
		expect(t, "after five seconds", open(), 55)
		time.Sleep(time.Hour)
		expect(t, "after an hour", open(), 100)
		time.Sleep(100 * time.Millisecond)
		expect(t, "a tenth of a second later", open(), 10)
		expect(t, "refused", w.server.Refused()["max-handshake-rate"], refused)
	})
}

// Whoever is refused for a reason of his own takes nothing from the others.
func TestHandshakeRateIsForThoseWhoMay(t *testing.T) {
	inBubble(t, Options{Limits: Limits{HandshakeRate: 2, StartRamp: -1, AddressPending: 1}}, func(w *world) {
		expect(t, "first", w.from("203.0.113.9:1").status, 200)
		for range 10 {
			expect(t, "more of it", w.from("203.0.113.9:1").status, 429)
		}
		expect(t, "another address", w.from("203.0.113.10:1").status, 200)
		expect(t, "beyond the rate", w.from("203.0.113.11:1").status, 503)
	})
}

func TestSetLimits(t *testing.T) {
	inBubble(t, Options{Limits: Limits{Sessions: 1}}, func(w *world) {
		w.open()
		expect(t, "at the limit", w.do("GET", fresh, "").status, 503)
		w.server.SetLimits(Limits{Sessions: 2})
		w.open()
		w.server.SetLimits(Limits{Sessions: 1})
		expect(t, "beyond a lower limit", w.do("GET", fresh, "").status, 503)
		expect(t, "those that were there", w.sessions[1].closedWith(), "")
	})
}

func TestPendingInAll(t *testing.T) {
	inBubble(t, Options{Limits: Limits{Pending: 3}}, func(w *world) {
		for range 3 {
			w.open()
		}
		w.sessions[0].session.MarkJoined()
		w.open()
		w.open() // too many: the oldest that joined nothing goes
		time.Sleep(time.Millisecond)
		for i, want := range []Reason{"", ReasonPendingLimit, "", "", ""} {
			expect(t, "reason", w.sessions[i].closedWith(), want)
		}
	})
}

func TestSessionsInAll(t *testing.T) {
	inBubble(t, Options{Limits: Limits{Sessions: 2}}, func(w *world) {
		w.open()
		w.open()
		r := w.do("GET", fresh, "")
		expect(t, "third", r.status, 503)
		expect(t, "body", r.body, `{"code":4,"message":"Server full"}`)
		_, res, err := w.listener.DialWS(t, freshWS)
		if err == nil || res == nil || res.StatusCode != 503 {
			t.Errorf("third, by WebSocket: %v %v", res, err)
		}
		w.sessions[0].session.Close(ReasonPingTimeout)
		time.Sleep(time.Millisecond)
		expect(t, "after one ended", w.do("GET", fresh, "").status, 200)
	})
}

// A flood of sessions that join nothing locks nobody out,
// and what is kept of them is bounded.
func TestFloodOfPendingSessions(t *testing.T) {
	inBubble(t, Options{Limits: Limits{Pending: 50}}, func(w *world) {
		_, honest := w.open()
		honest.session.MarkJoined()
		for range 1000 {
			expect(t, "flood", w.do("GET", fresh, "").status, 200)
		}
		time.Sleep(time.Millisecond)
		expect(t, "sessions", w.server.Sessions()[transportPolling], 51)
		expect(t, "reason of the honest one", honest.closedWith(), "")
	})
}

func TestLimiterForgets(t *testing.T) {
	inBubble(t, Options{Limits: Limits{AddressPending: 1}}, func(w *world) {
		for _, a := range []string{"203.0.113.1:1", "203.0.113.2:1", "[2001:db8::1]:1"} {
			w.from(a)
		}
		remembered := func() (addresses, waiting int) {
			w.server.mu.Lock()
			defer w.server.mu.Unlock()
			return len(w.server.limiter.of), w.server.limiter.waiting.Len()
		}
		addresses, waiting := remembered()
		expect(t, "addresses", addresses, 3)
		expect(t, "pending", waiting, 3)
		w.sessions[0].session.MarkJoined()
		w.sessions[1].session.Close(ReasonPingTimeout)
		w.sessions[2].session.Close(ReasonPingTimeout)
		time.Sleep(time.Millisecond)
		addresses, waiting = remembered()
		expect(t, "addresses of sessions that joined", addresses, 1)
		expect(t, "pending afterwards", waiting, 0)
		w.sessions[0].session.Close(ReasonPingTimeout)
		time.Sleep(time.Millisecond)
		addresses, _ = remembered()
		expect(t, "addresses afterwards", addresses, 0)
	})
}

func TestCookieNames(t *testing.T) {
	for _, good := range []string{"", "io", "a-b_c.d"} {
		if err := CheckCookieName(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range strings.Split("a b|a;b|a=b|ä", "|") {
		if CheckCookieName(bad) == nil {
			t.Errorf("%q was taken for a name", bad)
		}
	}
}
