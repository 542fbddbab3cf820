package engineio

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// While a backend holds a session up nothing is read from its browser, whose
// heartbeat is not judged: the time that it has for a pong, or of v3 for a ping,
// goes on when reading does.
func TestHeartbeatWhileHeld(t *testing.T) {
	const wait = DefaultPingInterval + DefaultPingTimeout
	say := func(w *world, q, packet string) {
		if strings.Contains(q, "EIO=3") {
			packet = strconv.Itoa(len(packet)) + ":" + packet
		}
		go w.do("POST", q, packet)
	}
	for name, tt := range map[string]struct {
		open  func(w *world) (say func(string), leave func())
		pulse string // what a live client says at the heartbeat
		limit time.Duration
	}{
		"WebSocket": {func(w *world) (func(string), func()) {
			c := w.dial(freshWS)
			return func(p string) { c.SayLater(p) }, func() { c.Close() }
		}, "3", DefaultPingTimeout},
		"WebSocket, v3": {func(w *world) (func(string), func()) {
			c := w.dial(freshWSV3)
			return func(p string) { c.SayLater(p) }, func() { c.Close() }
		}, "2", wait},
		"polling": {func(w *world) (func(string), func()) {
			q, _ := w.open()
			return func(p string) { say(w, q, p) }, func() {}
		}, "3", DefaultPingTimeout},
		"polling, v3": {func(w *world) (func(string), func()) {
			q, _ := w.openV3()
			return func(p string) { say(w, q, p) }, func() {}
		}, "2", wait},
	} {
		run := func(what string, f func(w *world, h *heard, say func(string))) {
			t.Run(name+", "+what, func(t *testing.T) {
				inBubble(t, Options{AllowEIO3: true}, func(w *world) {
					say, leave := tt.open(w)
					defer leave()
					f(w, w.last(), say)
				})
			})
		}
		run("for long", func(w *world, h *heard, say func(string)) {
			h.hold = make(chan struct{})
			say("4a")
			time.Sleep(3 * wait)
			expect(t, "reason while held", h.closedWith(), "")
			close(h.hold)
			synctest.Wait()
			say(tt.pulse)
			time.Sleep(DefaultPingTimeout)
			synctest.Wait()
			expect(t, "reason after an answer", h.closedWith(), "")
		})
		run("and silent afterwards", func(w *world, h *heard, say func(string)) {
			h.hold = make(chan struct{})
			say("4a")
			time.Sleep(3 * wait)
			close(h.hold)
			time.Sleep(tt.limit)
			synctest.Wait()
			expect(t, "reason", h.closedWith(), ReasonPingTimeout)
		})
		run("until just before the end", func(w *world, h *heard, say func(string)) {
			time.Sleep(DefaultPingInterval + time.Second) // a ping waits for its pong
			h.hold = make(chan struct{})
			say("4a")
			time.Sleep(DefaultPingTimeout - 2*time.Second)
			close(h.hold)
			time.Sleep(DefaultPingTimeout - 2*time.Second)
			say(tt.pulse)
			time.Sleep(3 * time.Second)
			synctest.Wait()
			expect(t, "reason", h.closedWith(), "")
		})
	}
}
