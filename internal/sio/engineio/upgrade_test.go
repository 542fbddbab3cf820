package engineio

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A poll that comes after the browser has said "5" is refused, however little
// time the server had to act upon it; one that was there before ends with a noop.
func TestPollAfterUpgrade(t *testing.T) {
	inHand := func(w *world, q string) reply { // no hop in between
		rec := httptest.NewRecorder()
		w.server.ServeHTTP(rec, httptest.NewRequest("GET", "http://server/socket.io/?"+q, nil))
		return reply{status: rec.Code, body: rec.Body.String()}
	}
	overHTTP := func(w *world, q string) reply { return w.do("GET", q, "") }
	for name, tt := range map[string]struct {
		run  func(*testing.T, func(*world))
		poll func(w *world, query string) reply
	}{
		"pipes, over HTTP":   {func(t *testing.T, f func(*world)) { inBubble(t, Options{}, f) }, overHTTP},
		"sockets, over HTTP": {func(t *testing.T, f func(*world)) { withSockets(t, Options{}, 64<<10, f) }, overHTTP},
		"sockets":            {func(t *testing.T, f func(*world)) { withSockets(t, Options{}, 64<<10, f) }, inHand},
	} {
		t.Run(name, func(t *testing.T) {
			noops := 0
			for range 100 {
				tt.run(t, func(w *world) {
					q, h := w.open()
					c := w.dial(strings.Replace(q, "polling", "websocket", 1))
					defer c.Close()
					c.Say("2probe")
					expect(t, "probe", c.Next(), "3probe")
					c.Say("5")
					if r := tt.poll(w, q); r.status != http.StatusBadRequest || r.body != `{"code":3,"message":"Bad request"}` {
						noops++
					}
					h.session.Send(Text([]byte("for the websocket")))
					expect(t, "over the websocket", c.Next(), "4for the websocket")
				})
			}
			if noops > 0 {
				t.Errorf("%d of 100 polls after the upgrade were not refused", noops)
			}
		})
	}
}

// A candidate that says half of something holds a poll up for no longer than it
// is looked at.
func TestPollBesideHalfAPacket(t *testing.T) {
	withSockets(t, Options{}, 64<<10, func(w *world) {
		q, _ := w.open()
		c := w.dial(strings.Replace(q, "polling", "websocket", 1))
		defer c.Close()
		c.Say("2probe")
		expect(t, "probe", c.Next(), "3probe")
		c.NetConn().Write([]byte{0x81, 0x81, 0, 0}) // "5" is to follow
		start := time.Now()
		expect(t, "poll", w.do("GET", q, "").body, "6")
		expect(t, "after", time.Since(start), 0)
		c.NetConn().Write([]byte{0, 0, '5'})
		synctest.Wait()
		expect(t, "poll after that", w.do("GET", q, "").status, 400)
		expect(t, "transport", fmt.Sprint(w.server.Sessions()[transportWebSocket]), "1")
	})
}
