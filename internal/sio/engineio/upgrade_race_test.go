package engineio

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
)

// A client that says "5" and gives its pending poll up at once has changed over,
// whichever of the two the server sees first.
func TestPollAbandonedAfterUpgrade(t *testing.T) {
	closed := 0
	for range 100 {
		withSockets(t, Options{}, 64<<10, func(w *world) {
			q, h := w.open()
			ctx, abandon := context.WithCancel(w.t.Context())
			defer abandon()
			go w.server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "http://server/socket.io/?"+q, nil))
			synctest.Wait()
			c := w.dial(strings.Replace(q, "polling", "websocket", 1))
			defer c.Close()
			synctest.Wait()
			c.Say("5")
			abandon()
			synctest.Wait()
			if h.closedWith() != "" {
				closed++
				return
			}
			h.session.Send(Text([]byte("there")))
			expect(t, "over the websocket", c.Next(), "4there")
		})
	}
	if closed > 0 {
		t.Errorf("%d of 100 sessions ended with the poll that they no longer needed", closed)
	}
}

// A request that the client gives up ends a session that polls carry, whether
// there is a candidate or not, and no other.
func TestRequestAbandonedDuringUpgrade(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		for name, tt := range map[string]struct {
			packets []string
			reason  Reason
		}{
			"a silent candidate": {nil, ReasonTransportError},
			"a probe":            {[]string{"2probe"}, ReasonTransportError},
			"upgraded":           {[]string{"2probe", "5"}, ""},
			"upgraded unprobed":  {[]string{"5"}, ""},
		} {
			if method == "GET" && name != "a silent candidate" {
				continue // the poll has been answered by then
			}
			t.Run(method+", "+name, func(t *testing.T) {
				withSockets(t, Options{}, 64<<10, func(w *world) {
					q, h := w.open()
					ctx, abandon := context.WithCancel(w.t.Context())
					defer abandon()
					body, rest := io.Pipe()
					answered := make(chan struct{})
					go func() {
						defer close(answered)
						w.server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, method, "http://server/socket.io/?"+q, body))
					}()
					synctest.Wait()
					c := w.dial(strings.Replace(q, "polling", "websocket", 1))
					defer c.Close()
					for _, p := range tt.packets {
						c.Say(p)
					}
					synctest.Wait()
					abandon()
					rest.CloseWithError(io.ErrUnexpectedEOF)
					<-answered
					synctest.Wait()
					expect(t, "reason", h.closedWith(), tt.reason)
				})
			})
		}
	}
}

// What comes in one piece with a candidate's handshake has been said before a poll
// that comes later.
func TestPollAfterUpgradeWithTheHandshake(t *testing.T) {
	accepted := 0
	for range 100 {
		withSockets(t, Options{}, 64<<10, func(w *world) {
			q, h := w.open()
			c, err := w.listener.Dial(w.t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "GET /socket.io/?%s HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n%s",
				strings.Replace(q, "polling", "websocket", 1), frames("5"))
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("handshake: %v, %v", res, err)
			}
			for !hasCandidate(h.session) {
				runtime.Gosched()
			}
			rec := httptest.NewRecorder()
			w.server.ServeHTTP(rec, httptest.NewRequest("GET", "http://server/socket.io/?"+q, nil))
			if rec.Code != http.StatusBadRequest {
				accepted++
			}
		})
	}
	if accepted > 0 {
		t.Errorf("%d of 100 polls after the upgrade were not refused", accepted)
	}
}

// hasCandidate reports whether a candidate is there, or has been.
func hasCandidate(s *Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase != phasePolling
}
