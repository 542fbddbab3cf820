package engineio

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestMaxConnectionAge opens sessions at one moment: they end within a tenth of the age
// before and after it, spread evenly, for that reason, and no other session does.
func TestMaxConnectionAge(t *testing.T) {
	const sessions, slots = 400, 10
	const age = 10 * time.Minute
	inBubble(t, Options{MaxConnectionAge: age}, func(w *world) {
		var all []*heard
		for range sessions {
			c := w.dial("EIO=4&transport=websocket")
			defer c.Close()
			c.Idle()
			all = append(all, w.last())
		}
		time.Sleep(age - age/10 - time.Second)
		synctest.Wait()
		expect(t, "sessions before the earliest end", len(w.server.all()), sessions)
		time.Sleep(time.Second)
		left := sessions
		for range slots {
			time.Sleep(age / 5 / slots)
			synctest.Wait()
			now := len(w.server.all())
			// 40 are expected to end in each of the slots; more than twice as many do in one of a billion.
			if ended := left - now; ended > 2*sessions/slots {
				t.Errorf("%d of %d sessions ended within %v", ended, sessions, age/5/slots)
			}
			left = now
		}
		expect(t, "sessions after the latest end", left, 0)
		for _, h := range all {
			expect(t, "reason", h.closedWith(), ReasonMaxAge)
		}
	})
}

// TestNoMaxConnectionAge: without it a session may stay.
func TestNoMaxConnectionAge(t *testing.T) {
	inBubble(t, Options{PingInterval: 1000 * time.Hour}, func(w *world) {
		c := w.dial("EIO=4&transport=websocket")
		defer c.Close()
		c.Idle()
		time.Sleep(999 * time.Hour)
		synctest.Wait()
		expect(t, "sessions", len(w.server.all()), 1)
	})
}
