package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanoutd/fanoutd/internal/sio"
)

// busySockets counts how often each of its sessions was looked at.
type busySockets struct{ looked int }

func (s *busySockets) Stats() sio.Stats {
	s.looked++
	var st sio.Stats
	st.Engine.Sessions, st.Engine.Queued = map[string]int{"polling": s.looked}, s.looked
	return st
}

func (s *busySockets) EventCounts() sio.EventCounts {
	return sio.EventCounts{Received: 1, Sent: 2, Emitted: 3, FanOut: 4}
}

// Events are counted at once; sessions are looked at every 5 seconds at most, however often
// somebody asks.
func TestActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &busySockets{}
		m := activityMeter{sockets: s}
		for i := range 11 { // seconds
			a := m.activity()
			if !a.At.Equal(time.Now()) || a.Received != 1 || a.Sent != 2 || a.Emits != 3 || a.FanOut != 4 {
				t.Fatalf("what is counted: %+v", a)
			}
			if want := i/5 + 1; a.Sessions["polling"] != want || a.Queued != want || s.looked != want {
				t.Errorf("after %d s: %+v, looked %d times, want %d", i, a, s.looked, want)
			}
			time.Sleep(time.Second)
		}
	})
}
