package engineio

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/fanoutd/fanoutd/internal/sio/wiretest"
)

// counts returns how many goroutines wait for work, and how many connections for them.
func (r *readers) counts() (waiting, ready int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting, len(r.ready) - r.taken
}

// Browsers that their readers wait for hold up nobody: each has a goroutine of its own
// meanwhile. Afterwards few are kept.
func TestReadersThatWait(t *testing.T) {
	withSockets(t, Options{}, 64<<10, func(w *world) {
		const held, others = 20, 20
		hold := make(chan struct{})
		var clients []*wiretest.WS
		var all []*heard
		for i := range held + others {
			c, s, h := w.dialSocket()
			expectParked(t, "new", s)
			if i < held {
				h.hold = hold
			}
			clients, all = append(clients, c), append(all, h)
		}
		for i, c := range clients {
			c.SayLater(fmt.Sprint("4", i))
		}
		synctest.Wait()
		for i, h := range all {
			if got, want := len(h.messages()), map[bool]int{false: 1}[i < held]; got != want {
				t.Errorf("connection %d: %d messages, want %d", i, got, want)
			}
		}
		close(hold)
		synctest.Wait()
		for i, h := range all {
			expect(t, "messages", fmt.Sprint(h.messages()), fmt.Sprintf("[text:%d]", i))
		}
		if waiting, ready := w.server.readers.counts(); waiting > w.server.readers.keep || ready > 0 {
			t.Errorf("%d goroutines wait, and %d connections", waiting, ready)
		}
	})
}

// Connections that have something to say one after the other need one goroutine.
func TestOneReaderForMany(t *testing.T) {
	withSockets(t, Options{}, 64<<10, func(w *world) {
		for range 20 {
			c, s, h := w.dialSocket()
			for i := range 3 {
				c.Say(fmt.Sprint("4", i))
				expectParked(t, "after a message", s)
			}
			expect(t, "messages", fmt.Sprint(h.messages()), "[text:0 text:1 text:2]")
		}
		if waiting, _ := w.server.readers.counts(); waiting != 1 {
			t.Errorf("%d goroutines wait, want 1", waiting)
		}
	})
}
