package sio

import (
	"testing"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio/engineio"
)

// expiryOf gives f the expiry of a connection, under the lock.
func (w *world) expiryOf(id string, f func(*expiry)) {
	w.t.Helper()
	n := w.Server.namespaces.find("/")
	n.mu.Lock()
	defer n.mu.Unlock()
	f(n.members.Lookup(id).Value.expiry)
}

// An expiry is of the wall clock, which may be set while a timer runs by another. Bubbles
// have one clock, so here the other one is moved: the timer's, or the expiry itself.
func TestExpiryWhenTheClockIsSet(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*expiry)
		// When it is to be closed, after the start.
		earliest, latest time.Duration
	}{
		{"not at all", func(*expiry) {}, time.Hour, time.Hour},
		{"back, so that the timer is early", func(e *expiry) { e.timer.Reset(time.Second) }, time.Hour, time.Hour},
		{"back by a day", func(e *expiry) { e.at = e.at.AddDate(0, 0, 1) }, 25 * time.Hour, 25 * time.Hour},
		{"ahead by an hour", func(e *expiry) { e.at = e.at.Add(-time.Hour) }, 0, expiryCheck},
		{"ahead by years", func(e *expiry) { e.at = e.at.AddDate(-10, 0, 0) }, 0, expiryCheck},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Options{Engine: engineio.Options{PingInterval: 1000 * time.Hour}}, func(w *world) {
				start := time.Now()
				w.backend.admit = Admission{Expire: start.Add(time.Hour)}
				c, id := w.connect("")
				w.expiryOf(id, tt.set)
				c.MustClose(1000, ReasonExpired)
				if after := time.Since(start); after < tt.earliest || after > tt.latest {
					t.Errorf("closed after %v, want %v to %v", after, tt.earliest, tt.latest)
				}
			})
		})
	}
}

// A renewal, and an end, leave nothing of the expiry before.
func TestExpiryRenewed(t *testing.T) {
	inBubble(t, Options{Engine: engineio.Options{PingInterval: 1000 * time.Hour}}, func(w *world) {
		start := time.Now()
		w.backend.admit = Admission{Expire: start.Add(time.Hour)}
		renewed, id := w.connect("")
		gone, _ := w.connect("")
		w.apply(Update{Namespace: "/", ID: id, Changes: Changes{Expire: start.Add(3 * time.Hour)}})
		gone.Close()
		renewed.MustClose(1000, ReasonExpired)
		expect(t, "closed after", time.Since(start), 3*time.Hour)
	})
}
