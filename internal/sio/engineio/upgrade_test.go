package engineio

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/wsconn"
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

// frames lays out text messages of a client, to be sent in one piece.
func frames(texts ...string) (b []byte) {
	for _, text := range texts {
		at := len(b)
		b = wsconn.AppendHeader(b, wsconn.OpText, len(text))
		b[at+1] |= 0x80
		b = append(append(b, 0, 0, 0, 0), text...) // a mask of zeros
	}
	return b
}

// A candidate takes over in every way that the reference lets it
// (engine.io/lib/socket.ts, _maybeUpgrade); clients in PHP, .NET and C# leave the
// probe out or say something behind "5".
func TestUpgradeTolerates(t *testing.T) {
	for name, tt := range map[string]struct {
		packets []string
		answers int // to probes
	}{
		"no probe":                   {packets: []string{"5"}},
		"data behind the upgrade":    {packets: []string{"2probe", "52"}, answers: 1},
		"no probe, and data":         {packets: []string{"5probe"}},
		"two probes":                 {packets: []string{"2probe", "2probe", "5"}, answers: 2},
		"many probes":                {packets: append(slices.Repeat([]string{"2probe"}, 20), "5"), answers: 20},
		"upgraded twice":             {packets: []string{"2probe", "5", "5"}, answers: 1},
		"upgraded twice, no probe":   {packets: []string{"5", "5"}},
		"a message behind":           {packets: []string{"2probe", "5", "4a"}, answers: 1},
		"messages behind, no probe":  {packets: []string{"5", "4a", "4b"}},
		"a pong behind, and a noop":  {packets: []string{"5", "3", "6"}},
		"an unknown type of message": {packets: []string{"5", "4"}},
	} {
		for _, atOnce := range []bool{false, true} {
			for _, poll := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, at once %v, with a poll %v", name, atOnce, poll), func(t *testing.T) {
					withSockets(t, Options{}, 64<<10, func(w *world) {
						q, h := w.open()
						var get <-chan reply
						if poll {
							get = w.poll(q)
							synctest.Wait()
						}
						c := w.dial(strings.Replace(q, "polling", "websocket", 1))
						defer c.Close()
						if atOnce {
							c.NetConn().Write(frames(tt.packets...))
						} else {
							for _, p := range tt.packets {
								c.Say(p)
								synctest.Wait()
							}
						}
						for range tt.answers {
							expect(t, "answer to a probe", c.Next(), "3probe")
						}
						synctest.Wait()
						if poll {
							expect(t, "pending poll", (<-get).body, "6")
						}
						expect(t, "next poll", w.do("GET", q, "").status, 400)
						var want []string
						for _, p := range tt.packets {
							if m, ok := strings.CutPrefix(p, "4"); ok {
								want = append(want, "text:"+m)
							}
						}
						expect(t, "received", strings.Join(h.messages(), "|"), strings.Join(want, "|"))
						h.session.Send(Text([]byte("there")))
						expect(t, "over the websocket", c.Next(), "4there")
						expect(t, "reason", h.closedWith(), "")
					})
				})
			}
		}
	}
}
